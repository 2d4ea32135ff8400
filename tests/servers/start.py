"""All servers by name; apart, since they need the libraries of their clients."""

from .debian import native, plain
from .moto_s3 import s3
from .wasm_build import wasm

SERVERS = {"native": native, "plain": plain, "wasm": wasm, "s3": s3}
"""Name -> context manager that gives a `Server`."""
