"""Ask the oracles again: ``python -m tests.features.golden.make [TOPIC ...]``.

Needs the packages named in `topics.py`; R packages where R finds them (``R_LIBS_USER``), the MFE
toolbox in the folder that the environment variable ``MFE_TOOLBOX`` names. A topic whose oracle is
not on this machine keeps its file.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tests.features.golden import HERE, column
from tests.features.golden.inputs import every
from tests.features.golden.topics import TOPICS, Topic

# numbers go there and back as raw doubles: R reads decimals with an error in the last bit
R = """read <- function(f, n) readBin(f, "double", n)
write <- function(x, f) writeBin(as.double(x), f)
{read}
{setup}
{write}
"""
OCTAVE = """1;
function x = read(f), h = fopen(f); x = fread(h, Inf, "double"); fclose(h); end
function write(x, f), h = fopen(f, "w"); fwrite(h, double(x), "double"); fclose(h); end
addpath([getenv("MFE_TOOLBOX") "/realized"]);
{read}
{setup}
{write}
"""


def ask_python(topic: Topic, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    names: dict[str, Any] = {"np": np, **inputs}
    exec(topic.setup, names)
    return {name: eval(call, names) for name, call in topic.call.items()}


def ask_foreign(topic: Topic, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Run a script of R or Octave on files of doubles."""
    r = topic.language == "R"
    size = ", {}" if r else ""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for name, values in inputs.items():
            values.astype(float).tofile(here / name)
        reads = (
            f'{name} = read("{here / name}"{size.format(len(values))});'
            for name, values in inputs.items()
        )
        writes = (f'write({call}, "{here / name}.out");' for name, call in topic.call.items())
        script = (R if r else OCTAVE).format(
            read="\n".join(reads), setup=topic.setup, write="\n".join(writes)
        )
        source = here / "script.txt"
        source.write_text(script)
        command = ["Rscript"] if r else ["octave", "-q", "--no-gui"]
        subprocess.run([*command, str(source)], check=True, stdout=subprocess.DEVNULL)
        return {name: np.fromfile(here / f"{name}.out") for name in topic.call}


def here(topic: Topic) -> bool:
    """Whether the oracle is on this machine."""
    if topic.language == "Python":
        return all(find_spec(name) for name in topic.modules)
    if topic.language == "R":
        found = f"quit(status = !requireNamespace('{topic.package}', quietly = TRUE))"
        return bool(shutil.which("Rscript")) and not subprocess.call(["Rscript", "-e", found])
    return bool(shutil.which("octave")) and "MFE_TOOLBOX" in os.environ


def versions(topic: Topic) -> str:
    """Version of the oracle and of what it runs on."""
    if topic.language == "Python":
        return ", ".join(
            f"{name} {version(name)}" for name in dict.fromkeys((topic.package, "numpy"))
        )
    if topic.language == "R":
        code = f"cat('{topic.package}', format(packageVersion('{topic.package}')), '')"
        found = subprocess.check_output(["Rscript", "-e", code + "; cat(R.version.string)"])
        return found.decode().replace(" R version", ", R")
    found = subprocess.check_output(["octave", "--version"], stderr=subprocess.DEVNULL).decode()
    return f"{topic.package}, Octave {found.splitlines()[0].split()[-1]}"


def plain(value: Any) -> Any:
    """A value for JSON: a float, or a list with null for NaN."""
    values = np.asarray(value, float)
    listed = [None if np.isnan(x) else x for x in values.ravel().tolist()]
    return listed[0] if values.size == 1 else listed


def lines(entry: dict[str, Any]) -> str:
    """JSON with one line a name, so that a change is seen in a diff."""
    text = []
    for key, value in entry.items():
        if isinstance(value, dict):
            inner = (f"  {json.dumps(name)}: {json.dumps(x)}" for name, x in value.items())
            text.append(f"{json.dumps(key)}: {{\n" + ",\n".join(inner) + "\n}")
        else:
            text.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(text) + "\n}\n"


def make(topic: Topic) -> None:
    inputs = {
        name: column(value) if isinstance(value, str) else np.array(value)
        for name, value in topic.inputs.items()
    }
    ask = ask_python if topic.language == "Python" else ask_foreign
    expected = {name: plain(value) for name, value in ask(topic, inputs).items()}
    oracle = {
        "name": topic.oracle,
        "version": versions(topic),
        "setup": topic.setup,
        "call": topic.call,
    }
    entry = {"what": topic.what, "oracle": oracle, "input": topic.inputs, "expected": expected}
    (HERE / f"{topic.name}.json").write_text(lines(entry))


def main(names: list[str]) -> None:
    made = {
        group: {name: values.tolist() for name, values in columns.items()}
        for group, columns in every().items()
    }
    (HERE / "inputs.json").write_text(lines(made))
    for topic in TOPICS:
        if names and topic.name not in names:
            continue
        if here(topic):
            make(topic)
            print(topic.name)
        else:
            print(topic.name, "left as it is:", topic.oracle, "is not here")


if __name__ == "__main__":
    main(sys.argv[1:])
