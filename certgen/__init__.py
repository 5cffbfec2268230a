"""certgen: a compiler from a YAML spec to a tree of certificates and keys.

This module imports nothing, so that a run with nothing to do starts at the price of the interpreter.
The Python API is `certgen.pipeline`.
"""

__version__ = "0.1.0"
