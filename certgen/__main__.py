"""`python -m certgen`."""

from certgen.cli import main

if __name__ == "__main__":
    main()
