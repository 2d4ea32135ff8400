"""Features of a user's own: found in a module or a file, and forgotten afterwards."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from mrtrade.errors import ConfigError
from mrtrade.features.registry import DERIVED, FEATURES, scratch, select

Function = Callable[..., Any]


@contextmanager
def load(target: str) -> Iterator[list[str | Function]]:
    """Give the features that a user means; what is registered for it is forgotten on leaving.

    Parameters
    ----------
    target : str
        ``package.module`` or ``file.py``: the features registered in it;
        ``package.module:function`` or ``file.py:function``: that function, or what it is registered
        as; or ``all``, a family, or the name of a registered feature.

    Raises
    ------
    ConfigError
        If there is no such thing, or it cannot be loaded; names file and line of the fault.
    """
    place, _, name = target.partition(":")
    if not (name or place.endswith(".py") or "." in place):
        yield list(select([place]))
        return
    modules = set(sys.modules)
    with scratch():
        before = set(FEATURES)
        try:
            module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
            yield _named(module, place, name) if name else _registered(module, place, before)
        finally:
            for one in set(sys.modules) - modules:  # imported anew, they register again
                if one == place or one.startswith(_OWN) or _registers(one, before):
                    del sys.modules[one]


_OWN = "mrtrade_user_"


def located(error: BaseException, what: str) -> ConfigError:
    """Return an error in a user's code as one of ours, with file and line."""
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
    else:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [one for one in frames if not _not_theirs(one.filename)]
        file, line = (theirs[-1].filename, theirs[-1].lineno) if theirs else (None, None)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return ConfigError(
        f"{what}: {type(error).__name__}: {text}", file=f"{file}:{line}" if file else None
    )


def _not_theirs(file: str) -> bool:
    package = str(Path(__file__).resolve().parents[1])
    return file.startswith((package, "<")) or "site-packages" in file or _library(file)


def _library(file: str) -> bool:
    return file.startswith(str(Path(traceback.__file__).parent))


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError("no such file", file=path.absolute())
    name = _OWN + path.stem
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    folder = str(path.parent.absolute())
    sys.path.insert(0, folder)  # what lies beside it can be imported, as when it is run
    try:
        SourceFileLoader(name, str(path)).exec_module(module)
    except Exception as error:
        raise located(error, "cannot be loaded") from error
    finally:
        sys.path.remove(folder)
    return module


def _load_module(place: str) -> ModuleType:
    # The console script, unlike `python -m`, does not look in the working directory.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise located(error, f"module {place!r} cannot be imported") from error


def _named(module: ModuleType, place: str, name: str) -> list[str | Function]:
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"no function {name!r}", file=place)
    features: list[str | Function] = [
        one.name for one in FEATURES.values() if one.function is function
    ]
    return features or [function]


def _registered(module: ModuleType, place: str, before: set[str]) -> list[str | Function]:
    """Names of the features that loading it registered, or that it had registered earlier."""
    names: list[str | Function] = [
        name
        for name, one in FEATURES.items()
        if name not in before or one.function.__module__ == module.__name__
    ]
    if not names:
        raise ConfigError(
            "no feature is registered in it",
            file=place,
            remedy=f"register with @feature, or name a function: {place}:function",
        )
    return names


def _registers(module: str, before: set[str]) -> bool:
    new = [one for name, one in FEATURES.items() if name not in before]
    return any(one.function.__module__ == module for one in (*new, *DERIVED.values()))
