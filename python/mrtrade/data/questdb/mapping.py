"""Which of a QuestDB's tables, columns and values are which of ours: said, or of the same name."""

from collections.abc import Iterable
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.data.schemas import TABLES, Table
from mrtrade.errors import ConfigError, SourceError
from mrtrade.instruments import to_lake

_SIDE_IS_BID = {"bid": True, "ask": False}
_UNNUMBERED = -1


@dataclass(frozen=True)
class Mapping:
    """What is called otherwise there.

    Parameters
    ----------
    tables : dict
        Our table -> theirs.
    columns : dict
        (our table, our column) -> theirs.
    values : dict
        (our table, our column, their value) -> our value, for sides: ``buy``, ``sell``; ``bid``,
        ``ask``.
    symbols : dict
        Their symbol -> ours, where it is not spelled in a way that `mrtrade.instruments` reads.
    symbol : str
        Their column that holds the symbol.
    """

    tables: Dict[str, str] = field(default_factory=dict)
    columns: Dict[tuple[str, str], str] = field(default_factory=dict)
    values: Dict[tuple[str, str, str], str] = field(default_factory=dict)
    symbols: Dict[str, str] = field(default_factory=dict)
    symbol: str = "symbol"

    @classmethod
    def parse(
        cls,
        tables: Iterable[str] = (),
        columns: Iterable[str] = (),
        values: Iterable[str] = (),
        symbols: Iterable[str] = (),
        symbol: str = "symbol",
    ) -> Self:
        """Read a mapping as it is written on a command line.

        Parameters
        ----------
        tables : iterable of str
            ``trades=my_trades``.
        columns : iterable of str
            ``trades.quantity=amount``.
        values : iterable of str
            ``trades.side.B=buy``.
        symbols : iterable of str
            ``BTCUSDT=BTC/USDT``.
        symbol : str

        Raises
        ------
        ConfigError
            If one of them is not written so, or names a table or column of ours that is not one.
        """
        return cls(
            {key: value for (key,), value in _pairs(tables, 1, "table=theirs")},
            {(key[0], key[1]): value for key, value in _pairs(columns, 2, "table.column=theirs")},
            {
                (key[0], key[1], key[2]): value
                for key, value in _pairs(values, 3, "table.column.theirs=ours")
            },
            {key: value for (key,), value in _pairs(symbols, 0, "THEIRS=BASE/QUOTE")},
            symbol,
        )

    def lake_symbol(self, theirs: str) -> str:
        """Return a symbol in Crypto Lake's spelling.

        Raises
        ------
        SourceError
            If it cannot be read, and the mapping does not name it.
        """
        try:
            return to_lake(self.symbols.get(theirs, theirs))
        except ConfigError:
            raise SourceError(
                "a symbol that cannot be read",
                key=self.symbol,
                value=theirs,
                expected="BASE/QUOTE or BASE-QUOTE, with -PERP for a perpetual",
                remedy=f"say what it is: --symbol '{theirs}=BASE/QUOTE'",
            ) from None

    def resolve(self, table: Table, there: Dict[str, pa.DataType]) -> dict[str, str]:
        """Return our column -> theirs, for the columns that are there.

        Where only one time is kept, it is taken for both: when rows were received is not known.

        Raises
        ------
        SourceError
            If a column that must be there is not.
        """
        spelled = {ours: raw for raw, ours in table.raw_names.items()}
        found = {}
        for column in table.columns:
            asked = self.columns.get((table.name, column.name))
            candidates = [asked] if asked else [column.name, spelled.get(column.name)]
            name = next((one for one in candidates if one in there), None)
            if name is not None:
                found[column.name] = name
            elif asked:
                raise _absent(table.name, asked, there)
        if "received_time" not in found and "origin_time" in found:
            found["received_time"] = found["origin_time"]
        for column in table.columns:
            optional = column.gaps or column.name == "sequence_number"
            if column.name not in found and not optional:
                raise _absent(table.name, column.name, there)
        if self.symbol not in there:
            raise _absent(table.name, self.symbol, there)
        return found

    def apply(self, table: Table, rows: pa.Table, names: Dict[str, str]) -> pa.Table:
        """Return rows under our names, their sides in our words.

        Raises
        ------
        SourceError
            If a side is neither ours nor in the mapping: it is not guessed.
        """
        columns = {ours: rows[theirs] for ours, theirs in names.items()}
        if "sequence_number" in table.schema.names and "sequence_number" not in columns:
            columns["sequence_number"] = pa.array([_UNNUMBERED] * len(rows), pa.int64())
        if "side" in columns:
            columns["side"] = self._sides(table.name, "side", columns["side"], ("buy", "sell"))
        if "side_is_bid" in columns and not pa.types.is_boolean(columns["side_is_bid"].type):
            sides = self._sides(
                table.name, "side_is_bid", columns["side_is_bid"], tuple(_SIDE_IS_BID)
            )
            columns["side_is_bid"] = pc.equal(sides, "bid")
        return pa.table(columns)

    def _sides(
        self, table: str, column: str, values: pa.ChunkedArray, known: tuple[str, ...]
    ) -> pa.ChunkedArray:
        coded = pc.dictionary_encode(values.cast(pa.string())).combine_chunks()
        words = []
        for value in coded.dictionary.to_pylist():
            ours = self.values.get((table, column, value), value.lower())
            if ours not in known:
                raise SourceError(
                    "a side that is not guessed",
                    key=f"{table}.{column}",
                    value=value,
                    expected=" or ".join(known),
                    remedy=f"say what it is: --value {table}.{column}.{value}={known[0]}",
                )
            words.append(ours)
        return pc.take(pa.array(words, pa.string()), coded.indices)


def _pairs(given: Iterable[str], depth: int, form: str) -> Iterable[tuple[tuple[str, ...], str]]:
    for one in given:
        key, equals, value = one.partition("=")
        path = tuple(key.split(".", max(depth - 1, 0))) if depth else (key,)
        if not (equals and key and value) or (depth and len(path) != depth):
            raise ConfigError("not a mapping", value=one, expected=form)
        if depth and path[0] not in TABLES:
            raise ConfigError(
                "not a table of ours", value=path[0], expected=f"one of {', '.join(TABLES)}"
            )
        if depth > 1 and path[1] not in TABLES[path[0]].schema.names:
            raise ConfigError(
                f"not a column of {path[0]}",
                value=path[1],
                expected=f"one of {', '.join(TABLES[path[0]].schema.names)}",
            )
        yield path, value


def _absent(table: str, column: str, there: Dict[str, pa.DataType]) -> SourceError:
    return SourceError(
        f"no column {column} for our {table}",
        expected=f"a column of that name among {', '.join(there)}",
        remedy=f"say which it is: --map {table}.{column}=THEIRS, the symbol's by --symbol-column",
    )
