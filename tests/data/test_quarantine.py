"""Bad rows are set aside with their reason; the others go on, and nothing is lost."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.data.checks import Checks
from mrtrade.data.quality.quarantine import standing_in
from mrtrade.data.schemas import FIRST_SANE_NS, TABLES
from mrtrade.errors import DataError

from .lake import SECOND, T0, deltas, trades

NAN, INF = math.nan, math.inf


def check(table, rows, *, cut=None, **options):
    """Pass rows through a checker in batches; good rows, quarantined rows as dicts, checks."""
    checks = Checks("quarantine", **options)
    checker = checks.checker(table, "some/file.csv", "BINANCE", "BTC-USDT", rows.schema)
    step = cut or len(rows)
    good = [checker(rows.slice(at, step)) for at in range(0, len(rows), step)]
    assert checker.rows == len(rows)
    bad = [row for part in checks.quarantined for row in part.to_pylist()]
    assert all(part.schema == TABLES["quarantine"].schema for part in checks.quarantined)
    return pa.concat_tables(good), bad, checks


def replaced(rows, column, values, type_=None):
    at = rows.schema.get_field_index(column)
    return rows.set_column(at, column, pa.array(values, type_))


FIVE = deltas(*((second * SECOND, second, True, 100, 1) for second in range(5)))
FLOW = trades(*((second * SECOND, "buy", 1, 100, second) for second in range(5)))
T = [T0 + second * SECOND for second in range(5)]

BAD = {
    "negative price": ("price", [1, -1, 1, 0, 1], {1: "out of range", 3: "out of range"}),
    "no number": ("price", [1, NAN, 1, INF, 1], {1: "price: not a number", 3: "out of range"}),
    "price missing": ("price", [1, None, 1, 1, 1], {1: "price: missing value"}),
    "price as text": (
        "price",
        ["1", "x", "2e1", "", None],
        {1: "price: cannot be read as double", 3: "cannot be read", 4: "missing value"},
    ),
    "size negative": ("size", [0, 0, 0, 0, -1], {4: "size: out of range"}),
    "side missing": ("side_is_bid", [True, None, False, None, True], {1: "missing", 3: "missing"}),
    "number of the sequence too large": (
        "sequence_number",
        pa.array([1, 2**63, 3, 4, 5], pa.uint64()),
        {1: "sequence_number: cannot be read as int64"},
    ),
    "time in milliseconds": ("receipt_timestamp", [T0 // 10**6, *T[1:]], {0: "received_time: out"}),
    "time missing": ("receipt_timestamp", [*T[:4], None], {4: "received_time: missing value"}),
    "exchange's time in ms": ("timestamp", [*T[:4], T0 // 10**6], {4: "not a time of the exch"}),
    "exchange's time far ahead": ("timestamp", [*T[:4], T0 + 2 * 3600 * SECOND], {4: "not a time"}),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("cut", [None, 2])
def test_bad_rows_are_set_aside_with_their_reason(name, cut):
    column, values, expected = BAD[name]
    rows = replaced(FIVE, column, values)
    good, bad, _ = check("book_delta_v2", rows, cut=cut)
    assert {row["row"]: row["reason"] for row in bad}.keys() == expected.keys()
    for row in bad:
        assert expected[row["row"]] in row["reason"]
        assert row["reason"].count(";") == 0  # one fault, one reason
        assert (row["table"], row["source"]) == ("book_delta_v2", "some/file.csv")
        content = json.loads(row["content"])
        came = rows.slice(row["row"], 1).to_pylist()[0]
        assert content.keys() == came.keys()
        assert content["receipt_timestamp"] == came["receipt_timestamp"]
        if isinstance(came["price"], float) and not math.isfinite(came["price"]):
            assert content["price"] in ("NaN", "Infinity")
    assert len(good) == 5 - len(bad)
    assert good["sequence_number"].to_pylist() == [i for i in range(5) if i not in expected] or (
        column == "sequence_number"
    )


def test_a_row_with_two_faults_is_one_row_with_both_reasons():
    rows = replaced(replaced(FIVE, "price", [1, 1, -1, 1, 1]), "size", [1, 1, NAN, 1, 1])
    good, [bad], _ = check("book_delta_v2", rows)
    assert len(good) == 4
    assert bad["reason"] == (
        "price: out of range, expected a finite number > 0; "
        "size: not a number, expected a finite number >= 0"
    )


def test_trades_of_unknown_side_and_other_symbols():
    rows = replaced(FLOW, "side", ["buy", "BUY", None, "sell", ""])
    rows = rows.append_column("symbol", pa.array(["BTC-USDT"] * 3 + ["ETH-USDT", "BTC-USDT"]))
    good, bad, _ = check("trades", rows)
    assert good["trade_id"].to_pylist() == ["0"]
    assert [row["reason"].split(",")[0] for row in bad] == [
        "side: unknown side",
        "side: missing value",
        "symbol: two symbols in one folder",
        "side: unknown side",
    ]


def test_what_stands_in_for_a_time():
    rows = replaced(FIVE, "receipt_timestamp", [1, T[1], 2, T[3], 3])
    for cut in (None, 1):
        _, bad, _ = check("book_delta_v2", rows, cut=cut)
        first = T[1] if cut is None else FIRST_SANE_NS  # nothing was known yet
        assert [row["received_time"] for row in bad] == [first, T[1], T[3]]
    rows = replaced(FIVE, "price", [-1.0] * 5)
    good, bad, _ = check("book_delta_v2", rows)
    assert len(good) == 0
    assert [row["received_time"] for row in bad] == T
    assert standing_in(None, None, None) == FIRST_SANE_NS


def test_times_and_long_numbers_keep_all_their_digits():
    stamps = pa.array([T0 + 123456789, None, T0, T0, T0], pa.timestamp("ns"))
    rows = replaced(replaced(FIVE, "price", [-0.1, 1, -1e-300, 1, 1]), "timestamp", stamps)
    rows = replaced(rows, "sequence_number", [2**63 - 1, 1, 2, 3, 4])
    _, bad, _ = check("book_delta_v2", rows)
    content = json.loads(bad[0]["content"])
    assert content["timestamp"] == "2024-08-08T00:00:00.123456789"
    assert content["sequence_number"] == 2**63 - 1
    assert content["price"] == -0.1
    assert json.loads(bad[1]["content"])["price"] == -1e-300


def test_rows_out_of_order_are_reported_and_stay():
    rows = replaced(FIVE, "receipt_timestamp", [T[1], T[0], T[4], T[2], T[3]])
    for cut in (None, 1, 2):
        good, bad, checks = check("book_delta_v2", rows, cut=cut)
        assert (len(good), bad, checks.unsorted) == (5, [], 2)
        [found] = checks.findings
        assert (found.rule, found.severity, found.count) == ("received_order", "warning", 2)
        assert (found.symbol, found.start_ns, found.end_ns) == ("BTC/USDT", T[0], T[2])
        assert "by up to 2 s" in found.text
    with pytest.raises(DataError, match="not in the order of received_time"):
        check("book_delta_v2", rows, on_unsorted="error")


def test_a_table_in_which_bad_rows_are_errors_may_still_be_unsorted():
    rows = replaced(FIVE, "receipt_timestamp", T[::-1])
    checks = Checks("error", on_unsorted="report")
    checker = checks.checker("book_delta_v2", "f", "BINANCE", "BTC-USDT", rows.schema)
    assert len(checker(rows)) == 5
    assert checks.unsorted == 4
    with pytest.raises(DataError, match="out of range"):
        checker(replaced(rows, "price", [0.0] * 5))


def test_a_file_that_is_not_the_table_is_an_error_either_way():
    with pytest.raises(DataError, match="missing column price"):
        check("book_delta_v2", FIVE.drop(["price"]))
    with pytest.raises(DataError, match="wrong type"):
        check("book_delta_v2", replaced(FIVE, "price", [1] * 5, pa.float32()))


def test_lines_that_are_no_rows():
    checks = Checks("quarantine")
    checks.refuse("trades", "f.gz", 7, "not JSON", "{half", received_time=T0)
    [row] = checks.quarantined[0].to_pylist()
    assert (row["row"], row["reason"], row["content"], row["received_time"]) == (
        7,
        "not JSON",
        "{half",
        T0,
    )
    with pytest.raises(DataError, match=r"f\.gz, row 7: not JSON, was '{half'"):
        Checks().refuse("trades", "f.gz", 7, "not JSON", "{half")


def test_seconds_that_are_no_time():
    rows = pa.table(
        {
            "timestamp": T[:3],
            "receipt_timestamp": T[:3],
            "rate": [0.1, 0.1, 0.1],
            "mark_price": [1.0, 1.0, 1.0],
            "next_funding_time": [1.7e9, INF, NAN],
        }
    )
    good, [bad], _ = check("funding", rows)
    assert good["next_funding_time"].to_pylist() == [1_700_000_000 * SECOND, 0]
    assert "next_funding_time: cannot be read as int64" in bad["reason"]


anything = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, -1.0, 1.0, 100.0, 5e-324]))
times = st.one_of(st.none(), st.sampled_from([*T, 0, -1, T0 // 1000, 2**62, -(2**63), 2**63 - 1]))


@given(
    rows=st.lists(
        st.tuples(times, times, st.one_of(st.none(), st.booleans()), anything, anything),
        min_size=1,
        max_size=30,
    ),
    cut=st.integers(1, 30),
)
def test_no_row_is_lost_and_none_is_made(rows, cut):
    origin, received, side, price, size = zip(*rows, strict=True)
    table = pa.table(
        {
            "timestamp": pa.array(origin, pa.int64()),
            "receipt_timestamp": pa.array(received, pa.int64()),
            "sequence_number": pa.array(range(len(rows)), pa.int64()),
            "side_is_bid": pa.array(side, pa.bool_()),
            "price": pa.array(price, pa.float64()),
            "size": pa.array(size, pa.float64()),
        }
    )
    good, bad, checks = check("book_delta_v2", table, cut=cut)
    kept = good["sequence_number"].to_pylist()
    set_aside = [row["row"] for row in bad]
    assert sorted(kept + set_aside) == list(range(len(rows)))
    assert [json.loads(row["content"])["sequence_number"] for row in bad] == set_aside
    assert all(row["reason"] for row in bad)
    # What is good is good in the eyes of the strict checker too, once it is sorted.
    order = np.argsort(good["received_time"].to_numpy(), kind="stable")
    strict = Checks().checker("book_delta_v2", "f", "BINANCE", "BTC-USDT", good.schema)
    ready = good.take(pa.array(order))
    assert strict(ready).equals(ready)
    # And what was set aside is an error there.
    for row in bad:
        alone = Checks().checker("book_delta_v2", "f", "BINANCE", "BTC-USDT", table.schema)
        with pytest.raises(DataError):
            alone(table.slice(row["row"], 1))
    assert checks.on_unsorted == "report"
