"""The exceptions a user of mrtrade can meet.

Every message answers, in this order: what is wrong, where (file and row, or key), which value,
what was expected, and what to do about it.
"""

from os import PathLike


class MrTradeError(Exception):
    """Base of all errors raised by mrtrade.

    Parameters
    ----------
    what : str
        One clause saying what is wrong.
    file : path, optional
        File the fault lies in.
    row : int, optional
        Row in that file, counted from 0.
    key : str, optional
        Dotted configuration key, or column name.
    value : object, optional
        The offending value. None means that there is none to show.
    expected : str, optional
        What would have been right.
    remedy : str, optional
        What the user can do, as an imperative.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | PathLike[str] | None = None,
        row: int | None = None,
        key: str | None = None,
        value: object = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.file = None if file is None else str(file)
        self.row = row
        self.key = key
        self.value = value
        self.expected = expected
        self.remedy = remedy
        places = [
            self.file,
            None if row is None else f"row {row}",
            key,
        ]
        where = ", ".join(place for place in places if place is not None)
        message = f"{where}: {what}" if where else what
        if value is not None:
            message += f", was {value!r}"
        if expected is not None:
            message += f"; expected {expected}"
        if remedy is not None:
            message += f". To fix: {remedy}"
        super().__init__(message)


class DataError(MrTradeError):
    """Recorded data that cannot be used as it is."""


class ConfigError(MrTradeError):
    """A configuration, an argument or an instrument that cannot be used."""


class StoreError(MrTradeError):
    """A store that does not hold, or cannot give, what was asked of it."""


class BusyError(StoreError):
    """A store that another process is writing to: the same may succeed later."""


class SourceError(MrTradeError):
    """A source of data that cannot be reached, refuses, or does not hold what was asked of it."""


class RunError(MrTradeError):
    """A run that could not be carried out or found again."""
