"""The fleet by trustme, a library for tests: trusting.py SIZE FOLDER. It has P-256, and RSA of 2048 bits."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# It is here or not, and nothing else wants it.
trustme: Any = import_module("trustme")


def main(size: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    root = trustme.CA()
    for number in range(size):
        kind = "server" if number % 2 == 0 else "client"
        name = f"{kind}-{number // 2:05}"
        certificate = root.issue_cert(f"{name}.shop.example", common_name=name)
        entity = folder / name
        entity.mkdir()
        certificate.private_key_pem.write_to_path(entity / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(entity / "cert.pem")
        root.cert_pem.write_to_path(entity / "ca.pem")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
