"""SQL over a store: what it gives, and that it changes nothing."""

import csv
import io
import json
import sys

import pyarrow.parquet as pq
import pytest

from mrtrade import cli
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.schemas import SQL_NAMES
from mrtrade.data.sql import query
from mrtrade.errors import ConfigError, StoreError

from ..servers.plugin import on
from .lake import DAY, SECOND, T0, deltas, put, trades, tree

NEXT = "2024-08-09"
DAY_NS = 86_400 * SECOND
ROWS = deltas(
    (1, 1, True, 100.5, 1), (2, 2, False, 101, 0.1, -T0), (DAY_NS + 3, 3, True, 99, 1 / 3)
)


@pytest.fixture
def lake(tmp_path):
    lake = tmp_path / "lake"
    put(lake, "book_delta_v2", ROWS)
    put(lake, "book_delta_v2", ROWS.slice(2), symbol="ETH-USDT", day=NEXT)
    put(lake, "trades", trades(*[(i, "buy", 1, 100 + i, f"[b]{i}") for i in range(60)]))
    return lake


@pytest.fixture
def store(tmp_path, lake):
    store = ParquetStore(tmp_path / "store")
    ingest(lake, store)
    return store


def ask(store, statement):
    with query(store, statement) as rows:
        return [tuple(row.values()) for batch in rows for row in batch.to_pylist()]


def test_tables_columns_and_times(store):
    for name in SQL_NAMES.values():
        assert len(ask(store, f"SELECT count(*) FROM {name}")) == 1
    found = ask(
        store,
        "SELECT exchange, symbol, day::text, origin_at::text, received_at::text, origin_time, "
        "received_time, size FROM order_book_deltas WHERE symbol = 'BTC-USDT' ORDER BY ALL",
    )
    assert found == [
        ("BINANCE", "BTC-USDT", DAY, f"{DAY} 00:00:00.000000001",
         f"{DAY} 00:00:00.000000001", T0 + 1, T0 + 1, 1.0),
        ("BINANCE", "BTC-USDT", DAY, None, f"{DAY} 00:00:00.000000002", 0, T0 + 2, 0.1),
        ("BINANCE", "BTC-USDT", NEXT, f"{NEXT} 00:00:00.000000003",
         f"{NEXT} 00:00:00.000000003", T0 + DAY_NS + 3, T0 + DAY_NS + 3, 1 / 3),
    ]  # fmt: skip
    assert ask(store, "SELECT table FROM quarantine".replace("table", '"table"')) == []


@pytest.mark.parametrize(
    "where",
    [f"day = '{NEXT}'", "symbol = 'ETH-USDT'", f"day > DATE '{DAY}' AND exchange = 'BINANCE'"],
)
def test_parts_of_other_days_and_symbols_are_not_opened(store, where):
    first = store.root / f"book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/part.parquet"
    first.write_bytes(b"not to be read")
    found = ask(store, f"SELECT count(*) FROM order_book_deltas WHERE {where}")
    assert found in ([(1,)], [(2,)])
    with pytest.raises(StoreError, match=r"part\.parquet"):
        ask(store, "SELECT sum(price) FROM order_book_deltas")


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("SELEC 1", ConfigError, "syntax error"),
        ("SELECT * FROM nothing", ConfigError, "nothing does not exist.*tables: order_book_deltas"),
        ("SELECT nothing FROM trades", ConfigError, "nothing"),
        ("", ConfigError, "not one SELECT"),
        ("SELECT 1; SELECT 2", ConfigError, "not one SELECT"),
        ("SELECT CAST(trade_id AS int) FROM trades", StoreError, "Could not convert"),
        ("COPY trades TO 'HERE/x.csv'", ConfigError, "not one SELECT"),
        ("DROP VIEW trades", ConfigError, "not one SELECT"),
        ("CREATE TABLE x AS SELECT 1", ConfigError, "not one SELECT"),
        ("ATTACH 'HERE/x.db'", ConfigError, "not one SELECT"),
        ("SET enable_external_access = true", ConfigError, "not one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", StoreError, "Cannot access"),
        ("SELECT * FROM read_parquet('HERE/**/*.parquet')", StoreError, "Cannot access"),
        ("SELECT * FROM '/etc/passwd'", ConfigError, "does not exist"),
        ("SELECT * FROM glob('HERE/*')", StoreError, "Cannot access|disabled"),
    ],
)
def test_what_is_refused_changes_nothing(store, statement, error, message):
    before = tree(store.root)
    with pytest.raises(error, match=message) as caught:
        ask(store, statement.replace("HERE", str(store.root)))
    assert "\n" not in str(caught.value)
    assert tree(store.root) == before


def test_an_empty_place_is_no_store_without_rows(tmp_path):
    with pytest.raises(StoreError, match="nothing is stored there"):
        ask(ParquetStore(tmp_path / "a slip of the pen"), "SELECT count(*) FROM trades")


@pytest.fixture
def sql(store, capsysbinary, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mrtrade", "sql", *arguments, "--store", store.url])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsysbinary.readouterr()
        return end.value.code, out, err.decode()

    return run


def test_a_table_has_an_end_and_says_so(sql):
    code, out, _ = sql("SELECT trade_id, price FROM trades ORDER BY received_time", "--limit", "3")
    lines = out.decode().splitlines()
    assert code == 0
    assert [line.split() for line in lines[3:6]] == [
        ["[b]0", "100.0"], ["[b]1", "101.0"], ["[b]2", "102.0"],
    ]  # fmt: skip
    assert lines[-1] == "the first 3 rows; --limit shows more, --format csv gives all"
    assert sql("SELECT 1 AS x")[1].decode().splitlines()[-1] == "1 row"


def test_show_tables_names_those_of_the_user(sql):
    code, out, _ = sql("show tables;", "--format", "csv")
    names = [name for (name,) in csv.reader(io.StringIO(out.decode()))]
    assert (code, names) == (0, ["name", *sorted(SQL_NAMES.values())])


def test_rows_wider_than_the_screen_are_a_line_a_value(sql, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    out = sql("SELECT * FROM trades ORDER BY received_time", "--limit", "2")[1].decode()
    lines = [line.split() for line in out.splitlines()]
    assert [line for line in lines if "row" in line[0] or line[:1] == ["trade_id"]][1] == [
        "trade_id",
        "[b]0",
    ]
    assert "price          101.0" in out
    assert "price          102.0" not in out


def test_formats_give_all_rows(sql, tmp_path):
    statement = "SELECT received_at, received_time, price, trade_id FROM trades ORDER BY 2"
    whole = list(csv.reader(io.StringIO(sql(statement, "--format", "csv")[1].decode())))
    assert whole[0] == ["received_at", "received_time", "price", "trade_id"]
    assert whole[2] == [f"{DAY} 00:00:00.000000001", str(T0 + 1), "101", "[b]1"]
    assert len(whole) == 61
    rows = json.loads(sql(statement, "--format", "json")[1])
    assert len(rows) == 60
    assert rows[1] == dict(
        received_at=f"{DAY} 00:00:00.000000001", received_time=T0 + 1, price=101.0, trade_id="[b]1"
    )
    odd = sql("SELECT 'nan'::double AS x WHERE 1 = 1", "--format", "json")[1]
    assert json.loads(odd) == [{"x": None}]
    assert json.loads(sql("SELECT 1 WHERE 1 = 0", "--format", "json")[1]) == []
    path = tmp_path / "out.parquet"
    assert sql(statement, "--format", "parquet", "--output", str(path))[:2] == (0, b"")
    assert pq.read_table(path)["received_time"].to_pylist() == [T0 + i for i in range(60)]
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SELECT nothing"], "error: Binder Error"),
        (["SELECT 1 AS x, 2 AS x", "--format", "csv"], "two columns of one name"),
        (["SELECT 1", "--output", "x"], "a table goes to the screen"),
        (
            ["SELECT 1", "--format", "csv", "--output", "/nowhere/x"],
            "error: /nowhere/x: cannot be written: No such file or directory. To fix: give",
        ),
    ],
)
def test_errors_are_one_message(sql, arguments, message):
    code, out, err = sql(*arguments)
    assert (code, out) == (2, b"")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.server("s3")
def test_a_store_on_s3(s3_server, database, lake, monkeypatch):
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    store = ParquetStore(f"s3://{database(s3_server)}/a/store")
    ingest(lake, store)
    statement = "SELECT symbol, received_time FROM order_book_deltas ORDER BY ALL"
    assert ask(store, statement) == [
        *(("BTC-USDT", T0 + at) for at in (1, 2, DAY_NS + 3)), ("ETH-USDT", T0 + DAY_NS + 3),
    ]  # fmt: skip
    found = ask(store, f"SELECT sum(price) FROM order_book_deltas WHERE day = '{NEXT}'")
    assert found == [(198.0,)]


@on("native")
def test_a_database_is_asked_for_reading_only(server, database, lake, monkeypatch):
    from mrtrade.data.timescale import TimescaleStore, load_settings, migrate

    monkeypatch.setenv("TIMESCALE_PASSWORD", server.password)
    url = server.url(database(server))
    migrate(load_settings(url))
    store = TimescaleStore(url)
    ingest(lake, store)
    count = "SELECT count(*), min(received_time)::date::text FROM order_book_deltas"
    quick = TimescaleStore(settings=store.settings.model_copy(update={"statement_timeout_s": 0.2}))
    assert ask(store, f"{count};") == [(4, DAY)]
    names = {name for (name,) in ask(store, "SHOW TABLES;")}
    assert {*SQL_NAMES.values(), "symbols"} <= names
    for statement, error, message in [
        ("SELECT * FROM nothing", ConfigError, "does not exist"),
        ("SELEC 1", ConfigError, "syntax error"),
        ("DROP TABLE trades", ConfigError, "syntax error"),
        ("SELECT 1; COMMIT; DROP TABLE trades", ConfigError, "multiple commands"),
        ("SELECT setval('symbols_symbol_id_seq', 99)", StoreError, "read-only transaction"),
        ("SELECT pg_sleep(30)", StoreError, "statement timeout"),
    ]:
        with pytest.raises(error, match=message):
            ask(quick if "pg_sleep" in statement else store, statement)
    assert len(store.read("trades", "BINANCE", "BTC/USDT")) == 60
    store.close()
    quick.close()
