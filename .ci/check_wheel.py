"""Check what wheels hold: every compiled module with its stub and .pxd, and nothing else.

Usage: check_wheel.py WHEEL...
"""

import sys
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]


def expected() -> set[str]:
    """Files of the two trees that must be in a wheel, compiled modules without their tag."""
    files = {
        str(path.relative_to(ROOT / tree))
        for tree in ("python", "src")
        for path in (ROOT / tree).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    sources = {file for file in files if file.endswith((".pyx", "CMakeLists.txt"))}
    modules = {file.removesuffix(".pyx") for file in sources if file.endswith(".pyx")}
    return (files - sources) | modules | {"mrcore/_cyutility"}


def problems(wheel: str) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    meta = {name for name in names if ".dist-info/" in name}
    found = {
        name.split(".")[0] if PurePosixPath(name).suffix in (".so", ".pyd") else name
        for name in names - meta
    }
    wanted = expected()
    faults = [f"missing {name}" for name in sorted(wanted - found)]
    faults += [f"unexpected {name}" for name in sorted(found - wanted)]
    for name in ("entry_points.txt", "licenses/LICENSE"):
        if not any(path.endswith(f".dist-info/{name}") for path in meta):
            faults.append(f"missing {name} in the metadata")
    return [f"{Path(wheel).name}: {fault}" for fault in faults]


if __name__ == "__main__":
    faults = [fault for wheel in sys.argv[1:] for fault in problems(wheel)]
    if faults or not sys.argv[1:]:
        sys.exit("\n".join(faults) or __doc__)
    print(f"{len(sys.argv) - 1} wheels hold what they should")
