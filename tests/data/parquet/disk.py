"""A disk that loses, at a power cut, what POSIX lets it lose.

`Recorder` takes down what a program asks of the file system; `outcomes` gives every state of the
disk that a cut after some of these calls may leave: data of a file that was not synced is old, new,
torn or nothing; of the changes to a folder's entries that were not synced, any first ones are done.
"""

import os
from itertools import product
from pathlib import Path


class Recorder:
    """Records the calls that change a folder, as (name, path, content or other path)."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.calls = []
        self._seen = self._tree()
        self._folders = {}
        self._real = {
            name: getattr(os, name)
            for name in ("mkdir", "replace", "unlink", "rmdir", "fsync", "open", "close")
        }
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, f"_{name}"))

    def _tree(self):
        return {
            path.relative_to(self.root): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def look(self):
        """Take down what was written since the last call: C++ asks the system by itself."""
        now = self._tree()
        for path in now.keys() - self._seen.keys():
            self.calls.append(("create", path, None))
        for path, content in now.items():
            if self._seen.get(path, b"") != content:
                self.calls.append(("data", path, content))
        self._seen = now

    def _note(self, name, path, other=None):
        self.calls.append((name, Path(path).relative_to(self.root), other))

    def _mkdir(self, path, *arguments, **options):
        self.look()
        self._real["mkdir"](path, *arguments, **options)
        self._note("mkdir", path)

    def _replace(self, old, new):
        self.look()
        self._real["replace"](old, new)
        self._note("rename", old, Path(new).relative_to(self.root))
        self._seen = self._tree()

    def _unlink(self, path, *arguments, **options):
        self.look()
        self._real["unlink"](path, *arguments, **options)
        self._note("unlink", path)
        self._seen = self._tree()

    def _rmdir(self, path, *arguments, **options):
        self.look()
        self._real["rmdir"](path, *arguments, **options)
        self._note("rmdir", path)

    def _open(self, path, *arguments, **options):
        number = self._real["open"](path, *arguments, **options)
        self._folders[number] = path
        return number

    def _close(self, number):
        self._folders.pop(number, None)
        self._real["close"](number)

    def _fsync(self, number):
        self.look()
        self._real["fsync"](number)
        self._note("fsync", self._folders[number])


class _Folder:
    def __init__(self, entries=()):
        self.now = dict(entries)
        self.synced = dict(self.now)
        self.changes = []  # since the last sync, each the (name, node or None) that it sets

    def change(self, *entries):
        self.changes.append(entries)
        for name, node in entries:
            if node is None:
                self.now.pop(name, None)
            else:
                self.now[name] = node


class _File:
    def __init__(self, content=b""):
        self.synced = self.now = content


def _folder(root, path):
    for name in path.parts:
        root = root.now[name]
    return root


def _load(folder):
    return _Folder(
        (path.name, _load(path) if path.is_dir() else _File(path.read_bytes()))
        for path in folder.iterdir()
    )


def _replay(root, calls):
    for name, path, other in calls:
        parent = _folder(root, path.parent)
        if name == "mkdir":
            parent.change((path.name, _Folder()))
        elif name == "create":
            parent.change((path.name, _File()))
        elif name == "data":
            parent.now[path.name].now = other
        elif name == "rename":
            assert path.parent == other.parent
            parent.change((path.name, None), (other.name, parent.now[path.name]))
        elif name in ("unlink", "rmdir"):
            parent.change((path.name, None))
        else:
            node = _folder(root, path)
            if isinstance(node, _File):
                node.synced = node.now
            else:
                node.synced, node.changes = dict(node.now), []


def _states(node):
    """Yield what may be found of a file, or of a folder and all below it."""
    if isinstance(node, _File):
        half = node.now[: len(node.now) // 2]
        yield from {node.synced, node.now} | ({half, b""} if node.synced != node.now else set())
        return
    seen = set()
    for done in range(len(node.changes) + 1):
        entries = dict(node.synced)
        for name, child in (one for change in node.changes[:done] for one in change):
            if child is None:
                entries.pop(name, None)
            else:
                entries[name] = child
        below = [[(name, state) for state in _states(child)] for name, child in entries.items()]
        for found in product(*below):
            state = tuple(sorted(found))
            if state not in seen:
                seen.add(state)
                yield state


def outcomes(before, calls):
    """Yield each state that the disk may be in: nested (name, content or state) pairs."""
    root = _load(before)
    _replay(root, calls)
    yield from _states(root)


def lay_out(state, folder):
    """Make the files of a state."""
    folder.mkdir()
    for name, content in state:
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            lay_out(content, folder / name)
