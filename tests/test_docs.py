"""What the documents say is run: Python blocks, in order, and links to files of the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def blocks(document: Path) -> str:
    """All its Python blocks as one program; empty lines in front keep its line numbers."""
    lines, inside = [], False
    for line in document.read_text().splitlines():
        inside = inside and line != "```"
        lines.append(line if inside else "")
        inside = inside or line == "```python"
    return "\n".join(lines)


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if blocks(d).strip()], ids=lambda d: d.name
)
def test_the_examples_run(document, tmp_path):
    program = tmp_path / document.with_suffix(".py").name
    program.write_text(blocks(document))
    done = subprocess.run(
        [sys.executable, "-W", "error", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    missing = [
        link
        for link in links
        if not link.startswith(("http://", "https://")) and not (document.parent / link).exists()
    ]
    assert not missing
