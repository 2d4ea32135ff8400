"""hftbacktest in an environment of its own (it wants numpy < 2.3), outside the tree.

``python tests/hftbacktest/environment.py`` makes it where it is missing and prints its python.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "2.4.4"


def folder() -> Path:
    """Where the environment is: ``$MRTRADE_CACHE`` (default ``~/.cache/mrtrade``)."""
    cache = os.environ.get("MRTRADE_CACHE") or Path.home() / ".cache" / "mrtrade"
    return Path(cache) / f"hftbacktest-{VERSION}"


def interpreter() -> Path:
    """Python of the environment; made at first use (about 900 MB, a minute)."""
    target = folder()
    if not target.is_dir():
        # Built beside its place and renamed at the end: never seen half made. Its console scripts
        # name the old path; nothing uses them.
        new = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            venv.create(new, with_pip=True)
            pip = [str(new / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, f"hftbacktest=={VERSION}"], check=True)
            try:
                new.rename(target)
            except OSError:  # another process was first
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return target / "bin" / "python"


def run(script: Path, *arguments: Path | str) -> str:
    """Run a script of ours under hftbacktest's python; its standard output."""
    command = [str(interpreter()), str(script), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script.name} failed under hftbacktest {VERSION}:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{interpreter()}\n")
