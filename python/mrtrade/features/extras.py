"""Packages of the extras, imported when they are needed and not before."""

from importlib import import_module
from types import ModuleType

from mrtrade.errors import ConfigError


def need(module: str, extra: str = "research") -> ModuleType:
    """Return a module of an extra.

    Raises
    ------
    ConfigError
        If it is not installed; says which extra brings it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # it is there, and something that it needs itself is not
        raise ConfigError(
            f"this needs {package}", remedy=f"pip install 'mrtrade[{extra}]'"
        ) from error
