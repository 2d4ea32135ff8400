"""Copies out of what answers like a QuestDB: none of these is one.

HTTP is asked of `fake_questdb`, written from QuestDB's documentation; its PostgreSQL wire of a real
PostgreSQL that holds the column types QuestDB shows there; exported files are written here.
"""

import json
import threading
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from mrtrade.clock import to_ns
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.questdb import Mapping, migrate, open_transport
from mrtrade.data.questdb.http import HttpTransport
from mrtrade.errors import ConfigError, DataError, SourceError
from tests.servers.plugin import on

from .fake_questdb import UNDOCUMENTED, fake_questdb

DAY = datetime(2024, 8, 8, 23, 30)
MINUTE = timedelta(minutes=1)
MAPPING = Mapping.parse(
    tables=["trades=my trades", "book_delta_v2=deltas"],
    columns=[
        "trades.quantity=amount",
        "trades.origin_time=ts",
        "book_delta_v2.received_time=at",
        "book_delta_v2.side_is_bid=side",
        'book_delta_v2.price=p"x',
    ],
    values=["trades.side.B=buy", "trades.side.S=sell"],
    symbols=["BTCUSDT=BTC/USDT"],
)


def make_tables(run):
    """Two tables; ``run(sql)`` must know ``VARCHAR``, ``TIMESTAMP``, ``DOUBLE PRECISION``."""
    run(
        'CREATE TABLE "my trades" (symbol VARCHAR, side VARCHAR, price DOUBLE PRECISION, '
        "amount DOUBLE PRECISION, trade_id BIGINT, ts TIMESTAMP)"
    )
    run(
        'CREATE TABLE deltas (symbol VARCHAR, "at" TIMESTAMP, sequence_number BIGINT, '
        'side VARCHAR, "p""x" DOUBLE PRECISION, size DOUBLE PRECISION)'
    )
    for minute in range(90):  # over midnight
        at = DAY + minute * MINUTE + timedelta(microseconds=minute)
        for symbol in ("BTCUSDT", "ETH-USDT"):
            side = "B" if minute % 3 else "S"
            price = 60_000 + minute / 7
            run(
                f"INSERT INTO \"my trades\" VALUES ('{symbol}', '{side}', {price!r}, "
                f"{0.1 + minute}, {minute}, '{at.isoformat()}')"
            )
        run(
            f"INSERT INTO deltas VALUES ('BTCUSDT', '{at.isoformat()}', {minute}, "
            f"'{'Bid' if minute % 2 else 'ask'}', {100 + minute % 2}, {minute % 5})"
        )


@pytest.fixture(scope="module")
def quest():
    with fake_questdb() as fake:
        make_tables(fake.database.execute)
        yield fake


@pytest.fixture
def http(quest):
    quest.trouble, quest.asked, quest.token = [], [], None
    return open_transport(quest.url, timeout_s=0.5)


@pytest.fixture
def store(tmp_path):
    return ParquetStore(tmp_path / "store")


def check(store):
    """See that the store holds what `make_tables` made."""
    for symbol in ("BTC/USDT", "ETH/USDT"):
        trades = store.read("trades", "BINANCE", symbol)
        times = [
            to_ns(DAY + minute * MINUTE + timedelta(microseconds=minute)) for minute in range(90)
        ]
        assert trades["origin_time"].to_pylist() == trades["received_time"].to_pylist() == times
        assert trades["price"].to_pylist() == [60_000 + minute / 7 for minute in range(90)]
        assert trades["quantity"].to_pylist() == [0.1 + minute for minute in range(90)]
        assert trades["trade_id"].to_pylist() == [str(minute) for minute in range(90)]
        assert trades["side"].to_pylist() == ["buy" if m % 3 else "sell" for m in range(90)]
        assert store.days("trades", "BINANCE", symbol) == ["2024-08-08", "2024-08-09"]
    deltas = store.read("book_delta_v2", "BINANCE", "BTC/USDT")
    assert deltas["side_is_bid"].to_pylist() == [bool(minute % 2) for minute in range(90)]
    assert deltas["sequence_number"].to_pylist() == list(range(90))
    assert set(deltas["origin_time"].to_pylist()) == {0}  # none is kept there


def copy(transport, store, **options):
    return migrate(transport, store, "binance", MAPPING, **options)


def test_by_http(http, store):
    done = copy(http, store)
    check(store)
    assert [(w.status, w.rows, w.stored) for w in done.windows] == [
        ("copied", 30, 30),
        ("copied", 60, 60),
    ] * 3
    assert done.is_whole
    assert done.notes == ["my trades keeps one time, ts: taken for when rows were received, too"]


def test_again_reads_no_row_and_verify_reads_all(http, store, quest):
    copy(http, store)
    quest.asked.clear()
    again = copy(http, store)
    assert {window.status for window in again.windows} == {"unchanged"}
    assert not any('"amount"' in sql for sql in quest.asked)
    verified = copy(http, store, verify=True)
    assert {window.status for window in verified.windows} == {"equal"}
    assert len({window.sha256 for window in verified.windows}) == 4  # both symbols trade alike


def test_a_window_that_grew_is_copied_again(quest, http, store):
    copy(http, store)
    quest.database.execute(
        "INSERT INTO deltas VALUES ('BTCUSDT', '2024-08-09T02:00:00', 90, 'bid', 100.0, 1.0)"
    )
    try:
        done = copy(http, store, tables=["book_delta_v2"])
        assert [window.status for window in done.windows] == ["unchanged", "copied"]
        assert store.read("book_delta_v2", "BINANCE", "BTC/USDT").num_rows == 91
    finally:
        quest.database.execute("DELETE FROM deltas WHERE sequence_number = 90")
    shrunk = copy(http, store, tables=["book_delta_v2"])
    assert [window.status for window in shrunk.windows] == ["unchanged", "copied"]
    check_deltas = store.read("book_delta_v2", "BINANCE", "BTC/USDT")
    assert check_deltas.num_rows == 90


def test_verify_finds_a_changed_value(quest, http, store):
    copy(http, store)
    quest.database.execute("UPDATE deltas SET size = size + 1 WHERE sequence_number = 40")
    try:
        done = copy(http, store, verify=True)
    finally:
        quest.database.execute("UPDATE deltas SET size = size - 1 WHERE sequence_number = 40")
    wrong = [window for window in done.windows if window.status == "differs"]
    assert [(w.table, w.day, w.why) for w in wrong] == [
        ("book_delta_v2", "2024-08-09", "other rows are stored")
    ]
    assert not done.is_whole


def test_verify_finds_what_was_never_copied(http, store):
    done = copy(http, store, verify=True)
    assert {(window.status, window.why) for window in done.windows} == {("differs", "not stored")}
    assert not store.series()


def test_days_of_a_span(http, store):
    done = copy(http, store, tables=["book_delta_v2"], start="2024-08-09", end="2024-08-10")
    assert [window.day for window in done.windows] == ["2024-08-09"]


def test_a_slow_server_is_asked_for_less(quest, http, store):
    quest.trouble = ["slow", "slow"]
    copy(http, store)
    check(store)
    first = [sql for sql in quest.asked if "ORDER BY" in sql and "GROUP" not in sql]
    assert "T00:15:00.000000Z" in "".join(first)  # an hour, a half, a quarter


@pytest.mark.parametrize("trouble", ["cut", "500"])
def test_a_broken_connection_is_tried_again(quest, http, store, trouble):
    quest.trouble = [trouble, trouble]
    copy(http, store)
    check(store)


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (["cut"] * 4, "cannot be reached"),
        (["500"] * 4, "refuses the statement: HTTP 500"),
        (["json"], "not the CSV that was asked for"),
        (["short"] * 24, "were sent; expected 30, as it counts them"),
    ],
)
def test_what_was_not_sent_whole_is_not_stored(quest, http, store, trouble, message):
    quest.trouble = trouble
    with pytest.raises(SourceError, match=message):
        copy(http, store)
    assert not store.series()
    quest.trouble = []
    copy(http, store)  # and a rerun completes
    check(store)


def test_an_interrupted_copy_goes_on(quest, http, store):
    with pytest.raises(KeyboardInterrupt):
        copy(http, store, progress=interrupt_at("ETH/USDT"))
    assert store.days("trades", "BINANCE", "BTC/USDT") == ["2024-08-08", "2024-08-09"]
    done = copy(http, store)
    assert [window.status for window in done.windows][:3] == ["unchanged"] * 3
    check(store)


def interrupt_at(symbol):
    def tell(window):
        if window.symbol == symbol:
            raise KeyboardInterrupt

    return tell


def test_a_wrong_row_stops_its_window_or_is_set_aside(quest, http, store):
    quest.database.execute(
        "INSERT INTO deltas VALUES ('BTCUSDT', '2024-08-09T02:00:00', 90, 'bid', -1.0, 1.0)"
    )
    try:
        with pytest.raises(DataError, match=r"price: out of range, was -1\.0"):
            copy(http, store, tables=["book_delta_v2"])
        assert store.days("book_delta_v2", "BINANCE", "BTC/USDT") == ["2024-08-08"]
        done = copy(http, store, tables=["book_delta_v2"], on_bad="quarantine")
        assert [(w.rows, w.stored, w.status) for w in done.windows] == [
            (30, 30, "unchanged"),
            (61, 60, "copied"),
        ]
        refused = store.read("quarantine", "BINANCE", "BTC/USDT")
        assert refused["content"].to_pylist()[0].count("-1") >= 1
    finally:
        quest.database.execute("DELETE FROM deltas WHERE sequence_number = 90")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["trades.quantity=size"]}, r"no column size .* symbol, side, price, amount"),
        ({"columns": []}, "no column received_time for our trades"),
        ({"values": ["trades.side.B=buy"]}, "not guessed, was 'S'; .* --value trades.side.S=buy"),
        ({"symbols": []}, "cannot be read, was 'BTCUSDT'; .* --symbol 'BTCUSDT=BASE/QUOTE'"),
        ({"tables": ["trades=nothing"]}, "refuses the statement: .*nothing"),
        ({"symbol": "who"}, "no column who for our trades"),
    ],
)
def test_what_is_not_known_is_asked_for(http, store, change, message):
    given = {
        "tables": ["trades=my trades"],
        "columns": ["trades.quantity=amount", "trades.origin_time=ts"],
        "values": ["trades.side.B=buy", "trades.side.S=sell"],
        "symbols": ["BTCUSDT=BTC/USDT"],
    }
    with pytest.raises(SourceError, match=message):
        migrate(http, store, "BINANCE", Mapping.parse(**{**given, **change}))
    assert not store.series()


@pytest.mark.parametrize(
    "given",
    [
        {"columns": ["quantity=amount"]},
        {"columns": ["trade.quantity=amount"]},
        {"columns": ["trades.amount=amount"]},
        {"tables": ["x=y"]},
        {"tables": ["trades"]},
        {"values": ["trades.side=buy"]},
        {"symbols": ["=BTC/USDT"]},
    ],
)
def test_a_mapping_that_is_none(given):
    with pytest.raises(ConfigError, match="not a"):
        Mapping.parse(**given)


def test_nothing_of_our_names(quest, http, store):
    with pytest.raises(SourceError, match="holds no table of one of our names"):
        migrate(http, store, "BINANCE")


def test_a_source_that_cannot_be_asked_is_not_one_without_tables(store, tmp_path):
    nobody = HttpTransport("http://127.0.0.1:1", plain_http=False, timeout_s=1.0)
    with pytest.raises(SourceError, match="cannot be reached"):
        migrate(nobody, store, "BINANCE")
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "trades.parquet").write_bytes(b"PAR1 torn")
    with (
        closing(open_transport(str(tmp_path / "exported"))) as torn,
        pytest.raises(SourceError, match="trades"),
    ):
        migrate(torn, store, "BINANCE")


def test_names_with_quotes_stay_names(quest, store, http):
    name = """O'Hara"; DROP TABLE deltas; --"""
    quest.database.execute(f"""CREATE TABLE odd (symbol VARCHAR, "{name.replace('"', '""')}"
        TIMESTAMP, price DOUBLE, quantity DOUBLE, side VARCHAR)""")
    quest.database.execute("INSERT INTO odd VALUES (?, '2024-01-01', 1.0, 1.0, 'buy')", [name])
    mapping = Mapping.parse(
        tables=["trades=odd"], columns=[f"trades.received_time={name}"], symbols=[f"{name}=A/B"]
    )
    migrate(http, store, "X", mapping)
    assert store.read("trades", "X", "A/B").num_rows == 1
    assert quest.database.execute("SELECT count(*) FROM deltas").fetchall() == [(90,)]
    with pytest.raises(SourceError, match="not sent, was 'a\\\\nb'"):
        migrate(http, store, "X", Mapping.parse(tables=["trades=a\nb"]))


def test_texts_that_look_like_nothing_stay_texts(quest, http, store):
    quest.database.execute(
        "CREATE TABLE words (symbol VARCHAR, received_time TIMESTAMP, side VARCHAR, "
        "price DOUBLE, quantity DOUBLE, trade_id VARCHAR)"
    )
    for word in ("NA", "null", "NaN"):
        quest.database.execute(
            "INSERT INTO words VALUES ('A-B', '2024-01-01', 'buy', 1.0, 1.0, ?)", [word]
        )
    migrate(http, store, "X", Mapping.parse(tables=["trades=words"]))
    assert store.read("trades", "X", "A/B")["trade_id"].to_pylist() == ["NA", "null", "NaN"]


def test_credentials_come_from_the_environment_and_are_not_shown(quest, http, store, monkeypatch):
    quest.token = "s3cret"
    with pytest.raises(SourceError, match=r"refuses the credentials.*QUESTDB_TOKEN"):
        copy(http, store)
    monkeypatch.setenv("QUESTDB_TOKEN", "wrong-s3cret")
    with pytest.raises(SourceError) as caught:
        copy(open_transport(quest.url), store)
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("QUESTDB_TOKEN", "s3cret")
    copy(open_transport(quest.url), store)
    check(store)


def test_credentials_go_nowhere_else(monkeypatch):
    seen = []

    class Elsewhere(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            seen.append((self.server is other, self.headers.get("Authorization")))
            self.send_response(400 if self.server is other else 302)
            self.send_header("Location", f"http://localhost:{other.server_port}/exec?query=x")
            self.send_header("Content-Length", "0")
            self.end_headers()

    monkeypatch.setenv("QUESTDB_TOKEN", "s3cret")
    with closing_server(Elsewhere) as one, closing_server(Elsewhere) as other:
        transport = open_transport(f"http://127.0.0.1:{one.server_port}")
        with pytest.raises(SourceError):
            transport.columns("trades")
    assert seen == [(False, "Bearer s3cret"), (True, None)]


@contextmanager
def closing_server(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_addresses(tmp_path):
    with pytest.raises(SourceError, match="others can see") as caught:
        open_transport("http://admin:quest@127.0.0.1:9000")
    assert "quest@" not in str(caught.value)
    with pytest.raises(SourceError, match=r"unencrypted.*--plain-http"):
        open_transport("http://example.invalid:9000")
    assert isinstance(open_transport("http://example.invalid:9000", plain_http=True), HttpTransport)
    with pytest.raises(SourceError, match="neither an address"):
        open_transport(str(tmp_path / "nothing"))


@on("plain")
def test_by_the_postgresql_wire(server, database, store, monkeypatch):
    """A real PostgreSQL, whose statements are kept to what QuestDB documents."""
    name = database(server)
    with server.connect(name) as connection:
        make_tables(connection.execute)
        connection.commit()
    monkeypatch.setenv("QUESTDB_PASSWORD", server.password)
    with closing(open_transport(server.url(name))) as transport:
        sent = spy(transport)
        done = copy(transport, store)
        assert copy(transport, store, verify=True).is_whole
    check(store)
    assert done.is_whole
    assert sent
    assert not any(UNDOCUMENTED.search(sql) for sql in sent)


@on("plain")
def test_the_postgresql_wire_refuses(server, database, monkeypatch):
    monkeypatch.setenv("QUESTDB_PASSWORD", "wrong-s3cret")
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        open_transport(server.url("postgres"))
    assert "s3cret" not in str(caught.value)


def spy(transport):
    sent, run = [], transport._run

    def keep(sql):
        sent.append(sql)
        return run(sql)

    transport._run = keep
    return sent


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_exported_files(quest, store, tmp_path, kind):
    folder = tmp_path / "export"
    (folder / "deltas").mkdir(parents=True)
    for name, path in (("my trades", folder / f"my trades.{kind}"), ("deltas", folder / "deltas")):
        rows = quest.database.sql(f'SELECT * FROM "{name}"').to_arrow_table()
        path = path / f"part.{kind}" if path.is_dir() else path
        if kind == "parquet":
            pq.write_table(rows, path)
        else:
            pyarrow.csv.write_csv(rows, path)
    transport = open_transport(str(folder))
    done = copy(transport, store)
    check(store)
    assert copy(transport, store, verify=True).is_whole
    assert {window.status for window in copy(transport, store).windows} == {"unchanged"}
    assert done.is_whole
    transport.close()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_nanoseconds_survive(store, tmp_path, kind):
    times = np.array(["2024-08-08T23:54:13.123456789", "2024-08-08T23:54:13.123456790"])
    rows = pa.table(
        {
            "symbol": ["BTC-USDT"] * 2,
            "received_time": pa.array(times.astype("datetime64[ns]")).cast(
                pa.timestamp("ns", "UTC")
            ),
            "side": ["buy", "sell"],
            "price": [1.0, 2.0],
            "quantity": [1.0, 1.0],
        }
    )
    write = pyarrow.csv.write_csv if kind == "csv" else pq.write_table
    write(rows, tmp_path / f"trades.{kind}")
    with closing(open_transport(str(tmp_path))) as transport:
        migrate(transport, store, "X")
    assert store.read("trades", "X", "BTC/USDT")["received_time"].to_pylist() == [
        to_ns("2024-08-08T23:54:13.123456789"),
        to_ns("2024-08-08T23:54:13.123456790"),
    ]


def test_exported_files_that_are_not_there(store, tmp_path):
    (tmp_path / "trades.csv").write_text("a,b\n1\n2,3,4\n")
    with closing(open_transport(str(tmp_path))) as transport:
        with pytest.raises(SourceError, match="trades: cannot be read"):
            migrate(transport, store, "X", Mapping.parse(tables=["trades=trades"]))
        with pytest.raises(SourceError, match="no such table was exported"):
            migrate(transport, store, "X", Mapping.parse(tables=["book=book"]))


def test_the_command(quest, http, tmp_path, monkeypatch, capsys):
    from mrtrade.cli import main

    arguments = ["migrate-questdb", quest.url, "--exchange", "BINANCE"]
    arguments += ["--store", str(tmp_path / "store"), "--report", str(tmp_path / "report.json")]
    arguments += ["--table", "trades=my trades", "--map", "trades.quantity=amount"]
    arguments += ["--map", "trades.origin_time=ts", "--symbol", "BTCUSDT=BTC/USDT"]
    arguments += ["--value", "trades.side.B=buy", "--value", "trades.side.S=sell"]

    def run(*more):
        monkeypatch.setattr("sys.argv", ["mrtrade", *arguments, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    code, shown = run()
    assert code == 0
    assert run("--on-bad", "quarantin")[0] == 2  # not taken for the default
    assert "180 rows in 4 windows, 4 copied" in shown
    assert "4 unchanged" in run()[1]
    assert "4 equal" in run("--verify")[1]
    assert len(json.loads((tmp_path / "report.json").read_text())) == 4
    quest.database.execute('UPDATE "my trades" SET price = price + 1 WHERE trade_id = 3')
    try:
        code, shown = run("--verify")
    finally:
        quest.database.execute('UPDATE "my trades" SET price = price - 1 WHERE trade_id = 3')
    assert code == 3
    assert "2 differs" in shown


def test_the_fake_refuses_what_questdb_does_not_document(quest, http):
    with pytest.raises(SourceError, match="not documented"):
        http.ask("COPY deltas TO 'x'")
    with pytest.raises(duckdb.Error):
        quest.database.execute("SELECT * FROM none")
