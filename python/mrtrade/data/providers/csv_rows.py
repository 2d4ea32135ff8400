"""CSV files a block at a time, every line taken or refused with its number."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from mrtrade.data.providers.lines import UNREADABLE, opened
from mrtrade.data.providers.recording import Parsed, Refusal

BLOCK_BYTES = 1 << 23
"""Text parsed at a time."""

INT, FLOAT, TEXT, FLAG = pa.int64(), pa.float64(), pa.string(), pa.bool_()

_AS_ASCII = bytes(at if at < 128 else ord("?") for at in range(256))

Bools = npt.NDArray[np.bool_]


def read_csv(
    path: Path, out: Parsed, names: Sequence[str], types: Mapping[str, pa.DataType], skip: int
) -> Iterator[tuple[npt.NDArray[np.int64], pa.Table]]:
    """Yield the lines of a file that can be read, with their numbers from 0 in the file.

    Parameters
    ----------
    path : Path
    out : Parsed
        Takes the lines that cannot be read.
    names : sequence of str
        Of the columns, in the file's order.
    types : dict
        Column wanted -> its type. A value that is not there is null; one that is not of its type
        makes its line a bad one.
    skip : int
        Lines before the first row.
    """
    number = skip
    short: list[int] = []

    def refuse_short(row: pa_csv.InvalidRow) -> str:
        at = skip + row.number - 1
        what = f"{row.actual_columns} values, expected {row.expected_columns}"
        out.refusals.append(Refusal(at, what, row.text))
        short.append(at)
        return "skip"

    try:
        with opened(path) as file:
            for _ in range(skip):
                file.readline()
            for text in _blocks(file, names, tuple(types), refuse_short):
                # Lines that were refused lie between those of the block.
                numbers = np.arange(number, number + len(text) + len(short))
                gone = np.isin(numbers, short)
                numbers = numbers[~gone][: len(text)]
                number = int(numbers[-1]) + 1 if len(numbers) else number
                short = [at for at in short if at >= number]
                good, table = _typed(text, types, numbers, out)
                yield numbers[good], table
    except UNREADABLE as error:
        out.refusals.append(Refusal(number, f"the file is cut off or broken: {error}", ""))


class _Ascii(io.RawIOBase):
    """A file whose bytes are text: ``?`` stands for those that are none in any of these formats."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size).translate(_AS_ASCII)


def _blocks(
    file: IO[bytes],
    names: Sequence[str],
    wanted: Sequence[str],
    refuse_short: object,
) -> Iterator[pa.Table]:
    reader = pa_csv.open_csv(
        pa.PythonFile(_Ascii(file), mode="r"),
        # One thread: only then are the numbers of bad lines known.
        read_options=pa_csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, column_names=list(names)
        ),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=refuse_short),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, TEXT),
            include_columns=list(wanted),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=True,
        ),
    )
    with reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _typed(
    text: pa.Table,
    types: Mapping[str, pa.DataType],
    numbers: npt.NDArray[np.int64],
    out: Parsed,
) -> tuple[Bools, pa.Table]:
    """Return which lines are good, and these, typed."""
    good = np.ones(len(text), dtype=np.bool_)
    for name, type_ in types.items():
        try:
            text[name].cast(type_)
        except pa.ArrowInvalid:
            for at, value in enumerate(text[name].to_pylist()):
                if good[at] and not _is(value, type_):
                    good[at] = False
                    content = ",".join(
                        "" if v is None else v for v in text.slice(at, 1).to_pylist()[0].values()
                    )
                    what = f"{name}: cannot be read as {type_}, was {value!r}"
                    out.refusals.append(Refusal(int(numbers[at]), what, content))
    if not good.all():
        text = text.filter(pa.array(good))
    return good, pa.table({name: text[name].cast(type_) for name, type_ in types.items()})


def _is(value: str | None, type_: pa.DataType) -> bool:
    if value is None:
        return True
    try:
        pa.array([value]).cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


def refuse(
    table: pa.Table, numbers: npt.NDArray[np.int64], bad: Bools, what: str, out: Parsed
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Refuse lines for what they say; return the others."""
    if not bad.any():
        return table, numbers
    for at in np.flatnonzero(bad).tolist():
        content = ",".join(
            "" if v is None else str(v) for v in table.slice(at, 1).to_pylist()[0].values()
        )
        out.refusals.append(Refusal(int(numbers[at]), what, content))
    return table.filter(pa.array(~bad)), numbers[~bad]


def epoch_ns(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return times of 1973 to 5138 in nanoseconds, whether in milli-, micro- or nanoseconds."""
    return np.where(times < 10**14, times * 10**6, np.where(times < 10**17, times * 1_000, times))
