"""Instructions an event of the compiled kernels, held against those recorded beside this file.

    python -m benchmarks.instructions [--record]

Counted by callgrind, so that a busy machine changes nothing: over n and over 2n events, and the
difference is taken, so that what comes before and after the events falls out. Fails when a kernel
needs more than 3 % above its record. Needs valgrind with its headers, and a C compiler.
"""

import argparse
import ctypes
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import mrcore.book

from .suite import kernels

RECORD = Path(__file__).with_name("instructions.json")
N = 50_000
ALLOWED = 0.03
# Code to steer callgrind from inside: its macros are special instructions, not functions.
CLIENT = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(const char* name) { CALLGRIND_DUMP_STATS_AT(name); CALLGRIND_STOP_INSTRUMENTATION; }
"""


def count(library: str) -> None:
    """Run every kernel, as a child under callgrind."""
    client = ctypes.CDLL(library)
    gc.disable()
    for n in (N // 10, N, 2 * N):  # the first warms up the interpreter
        for name, (events, run) in kernels.kernels(n).items():
            client.begin()
            run()
            client.end(f"{n}|{events}|{name}".encode())


def counted() -> dict[str, float]:
    """Instructions an event of each kernel."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind not found, which counts instructions (Debian: valgrind)")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "client.c"), Path(folder, "client.so")
        source.write_text(CLIENT)
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "-q"]
        command += [f"--callgrind-out-file={folder}/out", sys.executable, "-m"]
        command += ["benchmarks.instructions", "--count", str(library)]
        environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment)
        found: dict[str, dict[int, tuple[int, int]]] = {}
        for dump in Path(folder).glob("out.*"):
            text = dump.read_text()
            if what := re.search(
                r"^desc: Trigger: Client Request: (\d+)\|(\d+)\|(.*)$", text, re.M
            ):
                total = re.search(r"^totals: (\d+)$", text, re.M)
                n, events, name = int(what[1]), int(what[2]), what[3]
                found.setdefault(name, {})[n] = events, int(total[1])
    out = {}
    for name in kernels.kernels(100):
        (few, less), (many, more) = found[name][N], found[name][2 * N]
        out[name] = round((more - less) / (many - few), 2)
    return out


def made_by() -> dict[str, str]:
    """What the counts depend on: the machine's kind, the compiler of mrcore, the interpreter."""
    comment = re.search(rb"GCC: \([^)]*\) ([\d.]+)|(clang version [\d.]+)", compiled())
    compiler = "unknown"
    if comment:
        compiler = f"gcc {comment[1].decode()}" if comment[1] else comment[2].decode()
    return {
        "machine": platform.machine(),
        "compiler": compiler,
        "python": "{}.{}".format(*sys.version_info),
    }


def compiled() -> bytes:
    return Path(mrcore.book.__file__).read_bytes()


def major(compiler: str) -> str:
    return compiler.split(".")[0]


def compare(recorded: dict, here: dict[str, str], now: dict[str, float]) -> list[str]:
    """Print the table; the names of kernels that fail."""
    before, failed, better = recorded["kernels"], [], []
    if here["python"] != recorded["python"]:
        print(
            f"Python {here['python']}, recorded with {recorded['python']}: "
            f"{kernels.PYTHON!r} is not compared"
        )
        before = {k: v for k, v in before.items() if k != kernels.PYTHON}
        now = {k: v for k, v in now.items() if k != kernels.PYTHON}
    print(f"{'instructions an event':32} {'recorded':>9} {'now':>9} {'change':>8}")
    for name in before | now:
        if name not in before or name not in now:
            print(f"{name:32} {'only ' + ('now' if name in now else 'recorded'):>28}")
            failed.append(name)
            continue
        change = now[name] / before[name] - 1
        mark = ""
        if change > ALLOWED:
            mark = "  more"
            failed.append(name)
        elif change < -ALLOWED:
            mark = "  less"
            better.append(name)
        print(f"{name:32} {before[name]:9.2f} {now[name]:9.2f} {change:+8.1%}{mark}")
    if better:
        print("Some need less: `make instructions-record` holds that fast, in the same commit.")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the counts as the new record")
    parser.add_argument("--count", metavar="LIBRARY", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        count(arguments.count)
        return
    here, now = made_by(), counted()
    if arguments.record:
        RECORD.write_text(json.dumps(here | {"kernels": now}, indent=2) + "\n")
        print(f"recorded in {RECORD.name}: {len(now)} kernels, {here}")
        return
    recorded = json.loads(RECORD.read_text())
    same = {k: (here[k], recorded[k]) for k in ("machine", "compiler")}
    for what, (a, b) in same.items():
        if a != b:
            print(f"{what} {a}, recorded with {b}")
    if here["machine"] != recorded["machine"] or major(here["compiler"]) != major(
        recorded["compiler"]
    ):
        print("NOT COMPARED: another kind of machine or another major version of the compiler")
        print(json.dumps(now, indent=2))
        return
    if failed := compare(recorded, here, now):
        raise SystemExit(f"more instructions than recorded, or not recorded: {', '.join(failed)}")


if __name__ == "__main__":
    main()
