"""The Pandera schemas hold for the frames of every table, and each rule fails what breaks it."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mrtrade.data.schemas import TABLES, frame_schema
from mrtrade.errors import ConfigError, StoreError

from .lake import SECOND, T0

pytest.importorskip("pandera", reason="the extra `validate`")
from pandera.errors import SchemaError


def good(table):
    """Three rows of a table, as a store gives them."""
    rows = {}
    for place, column in enumerate(TABLES[table].columns):
        if column.name == "side":
            values = ["buy", "sell", "buy"]
        elif column.type == pa.string():
            values = ["a", "b", "c"]
        elif column.type == pa.bool_():
            values = [True, False, True]
        elif column.name == "received_time" or column.seconds:
            values = [T0 + place, T0 + SECOND + place, T0 + SECOND + place]
        elif column.type == pa.int64():
            values = [1, 2, 3]
        else:
            values = {
                "high": [12.0] * 3,
                "low": [9.0] * 3,
                "rate": [0.1, -0.1, 0.0],
            }.get(column.name, [11.0] * 3 if column.name.startswith("ask") else [10.0] * 3)
        rows[column.name] = pa.array(values, column.type)
    return pa.table(rows).cast(TABLES[table].schema)


@pytest.mark.parametrize("table", TABLES)
def test_frames_of_every_table_pass(table):
    rows = good(table)
    schema = frame_schema(table)
    assert len(schema.validate(rows.to_pandas())) == 3
    schema.validate(rows.to_pandas(types_mapper=pd.ArrowDtype))
    schema.validate(rows.to_pandas().convert_dtypes())
    schema.validate(rows.to_pandas().assign(exchange="BINANCE"))
    for unit in ("ns", "us"):
        stamped = rows.to_pandas()
        for name in ("origin_time", "received_time"):
            stamped[name] = pd.to_datetime(stamped[name], utc=True).dt.as_unit(unit)
        schema.validate(stamped)
    gaps = [column.name for column in TABLES[table].columns if column.gaps]
    schema.validate(rows.drop_columns(gaps).to_pandas())
    assert len(schema.validate(rows.slice(0, 0).to_pandas())) == 0


@pytest.mark.parametrize(
    ("table", "column", "values", "rule"),
    [
        ("trades", "price", [1.0, 0.0, 1.0], "finite and above 0"),
        ("trades", "price", [1.0, -1.0, 1.0], "finite and above 0"),
        ("trades", "price", [1.0, np.inf, 1.0], "finite and above 0"),
        ("trades", "price", [1.0, np.nan, 1.0], "non-nullable"),
        ("trades", "price", ["1", "2", "3"], "holds numbers"),
        ("trades", "side", ["buy", "sell", "BUY"], "isin"),
        ("trades", "side", ["buy", "sell", None], "non-nullable"),
        ("book_delta_v2", "size", [1.0, -1.0, 1.0], "finite and not below 0"),
        ("book_delta_v2", "sequence_number", [1.0, 2.0, 3.0], "holds whole numbers"),
        ("book_delta_v2", "side_is_bid", [1, 0, 1], "holds bool"),
        ("book_delta_v2", "received_time", [T0, T0 + 2, T0 + 1], "received_time never falls"),
        ("book_delta_v2", "received_time", [1, 2, 3], r"finite and not below 1e\+17"),
        ("level_1", "bid_0_price", [10.0, 11.0, 10.0], "best bid below best ask"),
        ("book", "bid_0_price", [10.0, 12.0, 10.0], "best bid below best ask"),
        ("funding", "rate", [0.0, -1.5, 0.0], "finite and not below -1"),
        ("candles", "low", [9.0, 10.5, 9.0], "low <= open, close <= high"),
        ("candles", "high", [12.0, 9.5, 12.0], "low <= open, close <= high"),
        ("candles", "stop", [T0 + 9] + [T0 + 2] * 2, "stop after start"),
        ("candles", "trades", [1, -2, 1], "finite and not below 0"),
    ],
)
def test_each_rule_fails_what_breaks_it(table, column, values, rule):
    frame = good(table).to_pandas()
    frame[column] = values
    with pytest.raises(SchemaError, match=rule):
        frame_schema(table).validate(frame)


def test_what_may_be_missing_may_be_missing():
    frame = good("candles").to_pandas()
    frame["trades"] = -1  # a source has none
    frame_schema("candles").validate(frame)
    frame = good("level_1").to_pandas()
    frame["bid_0_price"] = frame["bid_0_size"] = np.nan  # an empty side
    frame_schema("level_1").validate(frame)


def test_a_missing_column_and_an_unknown_table():
    with pytest.raises(SchemaError, match="price"):
        frame_schema("trades").validate(good("trades").to_pandas().drop(columns="price"))
    with pytest.raises(StoreError, match="unknown table"):
        frame_schema("orders")


def test_pandera_is_imported_when_a_schema_is_made_and_not_before(monkeypatch):
    code = "import sys, mrtrade.data.schemas; assert not {'pandera', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "pandera.pandas", None)
    with pytest.raises(ConfigError, match=r'pip install "mrtrade\[validate\]"'):
        frame_schema("trades")
