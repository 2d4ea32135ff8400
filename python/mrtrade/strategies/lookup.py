"""Finds strategies: the built-in ones by name, a user's own by entry point, module or file.

A package that is installed offers strategies by entry points of the group ``mrtrade.strategies``:

    [project.entry-points."mrtrade.strategies"]
    mine = "my_package.strategies:Mine"
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from mrtrade.errors import ConfigError
from mrtrade.strategies.base import Strategy
from mrtrade.strategies.forecast import Forecast
from mrtrade.strategies.funding import FundingArbitrage
from mrtrade.strategies.microstructure import MicrostructureMeanReversion
from mrtrade.strategies.statistical import StatisticalMeanReversion

#: Built-in strategies by name.
STRATEGIES: dict[str, type[Strategy]] = {
    "statistical": StatisticalMeanReversion,
    "microstructure": MicrostructureMeanReversion,
    "funding": FundingArbitrage,
    "forecast": Forecast,
}

#: Entry points of this group name strategies of installed packages.
GROUP = "mrtrade.strategies"


def find_strategy(name: str) -> type[Strategy]:
    """Return the class of a strategy.

    Parameters
    ----------
    name : str
        Of a built-in strategy, such as ``statistical``, or its class's own name; of an entry point
        of the group ``mrtrade.strategies``; ``module:Class``; ``path/to/file.py`` with one strategy
        in it; ``path/to/file.py:Class``. A built-in name cannot be taken by an entry point.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    for built_in in STRATEGIES.values():
        if name == built_in.__name__:
            return built_in
    place, _, attribute = name.partition(":")
    if place.endswith(".py"):
        module = _load_file(Path(place))
    elif attribute:
        module = _load_module(place)
    elif found := installed(name):
        return _load_entry(found)
    else:
        names = [*STRATEGIES, *(one.name for one in installed())]
        near = get_close_matches(name, names, n=1)
        raise ConfigError(
            f"no strategy {name!r}",
            expected=f"perhaps {near[0]!r}" if near else f"one of {', '.join(names)}",
            remedy="name a strategy of your own as 'module:Class' or 'file.py:Class'",
        )
    return _class_of(module, place, attribute)


def installed(name: str | None = None) -> list[EntryPoint]:
    """Return the entry points of installed packages' strategies, or those of one name."""
    found = entry_points(group=GROUP)
    return sorted(
        {one for one in found if name in (None, one.name) and one.name not in STRATEGIES},
        key=lambda one: (one.name, one.value),
    )


def make_strategy(name: str, params: Mapping[str, Any] | None = None) -> Strategy:
    """Return a strategy by name (see `find_strategy`) with its parameters."""
    return find_strategy(name)(params)


def _load_entry(found: list[EntryPoint]) -> type[Strategy]:
    """Return the class that entry points of one name agree on."""
    places = [one.value for one in found]
    if len(places) > 1:
        raise ConfigError(
            f"strategy {found[0].name!r} is offered by several packages",
            value=", ".join(places),
            remedy="name it as 'module:Class'",
        )
    try:
        kind = found[0].load()
    except Exception as error:
        raise ConfigError(
            f"strategy {found[0].name!r} cannot be loaded from {places[0]}: "
            f"{type(error).__name__}: {error}",
            remedy="mend or uninstall the package that offers it",
        ) from error
    if not (inspect.isclass(kind) and issubclass(kind, Strategy)):
        raise ConfigError(f"strategy {found[0].name!r}: {places[0]} is no class of Strategy")
    return kind


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError("no such strategy file", file=path.absolute())
    # Registered, as pydantic looks up the annotations of `Params` in the module's entry.
    name = f"mrtrade_user_{path.stem}"
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        SourceFileLoader(name, str(path)).exec_module(module)
    except Exception as error:
        raise ConfigError(
            f"cannot be loaded: {type(error).__name__}: {error}", file=path
        ) from error
    return module


def _load_module(place: str) -> ModuleType:
    # The console script, unlike `python -m`, does not look in the working directory.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise ConfigError(
            f"module {place!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _class_of(module: ModuleType, place: str, attribute: str) -> type[Strategy]:
    if attribute:
        found = getattr(module, attribute, None)
        if not (inspect.isclass(found) and issubclass(found, Strategy)):
            raise ConfigError(f"no class {attribute!r} derived from Strategy", file=place)
        return found
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Strategy)
        and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        names = ", ".join(one.__name__ for one in own) or "none"
        raise ConfigError(
            "strategies in the file",
            file=place,
            value=names,
            expected="exactly one",
            remedy="name the class: 'file.py:Class'",
        )
    return own[0]
