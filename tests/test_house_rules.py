"""Rules of src/mrcore that neither the compiler nor a linter knows."""

import re
from pathlib import Path

import pytest

MRCORE = Path(__file__).resolve().parents[1] / "src" / "mrcore"
CYTHON = sorted([*MRCORE.glob("*.pyx"), *MRCORE.glob("*.pxd")])


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        # import-linter reads Python only
        ("the core knows nothing of mrtrade", r"^\s*(from|c?import)\s+mrtrade\b"),
        # memoryviews need no NumPy at build time and pin no ABI
        ("no cimport of numpy", r"^\s*(from\s+numpy\s+cimport|cimport\s+numpy)"),
        # a file that is included compiles and reads in no place of its own
        ("no include", r"^\s*include\s"),
        # two interfaces to one thing: def for Python, an inline kernel for Cython
        ("no cpdef", r"^\s*cpdef\s"),
        ("directives are set once, in CMakeLists.txt", r"^#\s*cython:"),
    ],
)
def test_no_source_of_the_core_breaks(rule, pattern):
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in CYTHON
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not found, f"{rule}: {found}"


def test_every_module_of_the_core_has_a_stub():
    # stubtest goes through the stubs: a module without one would go unseen
    assert {p.stem for p in MRCORE.glob("*.pyx")} == {p.stem for p in MRCORE.glob("*.pyi")}
