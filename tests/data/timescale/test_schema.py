"""Migrations, editions, aggregates, roles, TLS."""

import math
import os
import subprocess

import pyarrow as pa
import pytest

from mrtrade.data.timescale import TimescaleSettings, TimescaleStore, make_roles, migrate, status
from mrtrade.data.timescale import migrations as steps
from mrtrade.data.timescale.retention import expired
from mrtrade.data.timescale.roles import ROLES
from mrtrade.errors import StoreError

from ...servers.plugin import on
from .make import DAY, rows, same, sql, write

EVERYWHERE = on("native", "plain", "wasm")
HERE = ("trades", "BINANCE", "BTC/USDT")
KINDS = {"native": "apache", "plain": "plain", "wasm": "community"}


@EVERYWHERE
def test_a_database_is_set_up_once_and_says_what_it_is(settings, server):
    with pytest.raises(StoreError, match=r"not set up.*mrtrade db init"):
        TimescaleStore(settings=settings)
    before = status(settings)
    assert len(before.pending) > 0
    assert not before.tables
    assert migrate(settings)
    assert migrate(settings) == []
    found = status(settings)
    assert found.pending == ()
    assert found.edition.kind == KINDS[server.kind]
    assert found.writes
    store = TimescaleStore(settings=settings)
    write(store, "trades", rows("trades"))
    store.close()
    [table] = status(settings).tables
    assert (table.name, table.rows, table.series, table.first_day) == ("trades", 40, 1, DAY)
    assert table.size > 0
    assert table.chunks == (server.kind != "plain")


@on("plain")
def test_a_step_that_was_changed_after_it_was_applied_is_an_error(settings, monkeypatch):
    migrate(settings)
    first, *others = steps.migrations()
    changed = steps.Migration(first.file, first.text + "-- more", first.editions)
    monkeypatch.setattr(steps, "migrations", lambda: [changed, *others])
    with pytest.raises(StoreError, match=r"001_tables.sql was changed"):
        TimescaleStore(settings=settings)


@on("plain")
def test_a_step_that_fails_is_undone_and_those_before_it_stay(settings, monkeypatch):
    wrong = steps.Migration("999_wrong.sql", "CREATE TABLE half (); SELECT 1 / 0", ())
    monkeypatch.setattr(steps, "migrations", lambda real=steps.migrations: [*real(), wrong])
    with pytest.raises(StoreError, match="division by zero"):
        migrate(settings)
    assert sql(settings, "SELECT to_regclass('half'), to_regclass('trades')") == [(None, "trades")]
    monkeypatch.undo()
    assert migrate(settings) == []


@EVERYWHERE
def test_aggregates_are_those_of_the_rows_after_every_change(store, settings):
    def flow():
        return sql(
            settings,
            "SELECT extract(epoch FROM bucket)::bigint, open, high, low, close, volume, buy_volume,"
            " sell_volume, net_flow, notional, vwap, trade_count, buy_count, sell_count "
            "FROM trade_flow_1m ORDER BY bucket",
        )

    def expected(content):
        frame = content.to_pandas()
        for minute, of in frame.groupby(frame.received_time // (60 * 10**9)):
            sign = of.side.map({"buy": 1, "sell": -1})
            bought = of.side == "buy"
            notional = (of.price * of.quantity).sum()
            yield (
                *(minute * 60, of.price.iloc[0], of.price.max(), of.price.min(), of.price.iloc[-1]),
                *(of.quantity.sum(), of.quantity[bought].sum(), of.quantity[~bought].sum()),
                *((of.quantity * sign).sum(), notional, notional / of.quantity.sum()),
                *(len(of), bought.sum(), (~bought).sum()),
            )

    def check(content):
        found, wanted = flow(), list(expected(content))
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert all(
                math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-9) for x, y in zip(a, b, strict=True)
            )

    def trades(n, step):
        made = rows("trades", n, step)
        price = pa.array([100 + (i * 7 % 13) / 8 for i in range(n)])
        size = pa.array([1 + i % 5 / 4 for i in range(n)])
        return made.set_column(3, made.schema.field(3), size).set_column(
            4, made.schema.field(4), price
        )

    first, second = trades(300, 10**9), trades(100, 2 * 10**9)
    write(store, "trades", first)
    check(first)
    write(store, "trades", second)
    check(second)
    assert sql(settings, "SELECT count(*)::int, sum(trade_count)::int FROM trade_flow_1h") == [
        (1, 100)
    ]
    deltas = rows("book_delta_v2", 90, 10**9)
    write(store, "book_delta_v2", deltas)
    zero = sum(size == 0 for size in deltas["size"].to_pylist())
    assert sql(settings, "SELECT sum(updates)::int, sum(deletes)::int FROM book_activity_1m") == [
        (90, zero)
    ]
    books = rows("book_snapshots", 70, 10**9)
    write(store, "book_snapshots", books)
    two_sided = sum(
        not math.isnan(bid + ask)
        for bid, ask in zip(
            books["bid_0_price"].to_pylist(), books["ask_0_price"].to_pylist(), strict=True
        )
    )
    assert sql(settings, "SELECT sum(samples)::int FROM book_snapshots_1m") == [(two_sided,)]
    store.remove_day(*HERE, DAY)
    assert flow() == []


@on("wasm")
def test_rows_go_straight_into_the_columnstore_and_are_replaced_there(store, settings):
    assert store.edition.direct
    for content in (rows("level_1", 5_000), rows("level_1", 3_000)):
        write(store, "level_1", content)
        assert same(store.read("level_1", "BINANCE", "BTC/USDT"), content)
    chunks = "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = %s"
    assert sql(settings, chunks, "best_quotes") == [(True,)]
    assert status(settings).tables[0].compressed == 1


@on("wasm")
def test_rows_in_a_chunk_that_was_compressed_are_read_and_replaced(store, settings):
    content = rows("trades", 3_000)
    write(store, "trades", content)
    sql(settings, "SELECT compress_chunk(c) FROM show_chunks('trades') c")
    assert same(store.read(*HERE), content)
    other = rows("trades", 2_000, 500)
    write(store, "trades", other, symbol="ETH/USDT")
    write(store, "trades", other)
    assert same(store.read(*HERE), other)
    assert store.verify(*HERE) == []
    assert sql(settings, "SELECT sum(trade_count)::int FROM trade_flow_1m") == [(4_000,)]


@on("native", "plain")
def test_each_role_may_do_its_work_and_no_more(settings):
    admin = settings
    passwords = {f"TIMESCALE_{kind.upper()}_PASSWORD": f"pw of {kind}'s" for kind in ROLES}

    def log_in(kind):
        return admin.model_copy(
            update={
                "user": f"mrtrade_{kind}",
                "password": TimescaleSettings(password=f"pw of {kind}'s").password,
            }
        )

    assert all(make_roles(admin, passwords).values())
    migrate(log_in("owner"))  # a trusted extension: no superuser
    assert not any(make_roles(admin, {}).values())  # again, after it was set up
    ingest = TimescaleStore(settings=log_in("ingest"))
    write(ingest, "trades", rows("trades"))
    write(ingest, "trades", rows("trades", 30), keep=True, name="b")
    ingest.remove_day(*HERE, DAY)
    write(ingest, "trades", rows("trades"))
    ingest.close()
    for statement in (
        "DROP TABLE trades",
        "TRUNCATE trades",
        "UPDATE trades SET price = 1",
        "CREATE TABLE mine ()",
        "COPY trades TO PROGRAM 'true'",
        "DELETE FROM symbols",
    ):
        with pytest.raises(StoreError, match="mrtrade db roles"):
            sql(log_in("ingest"), statement)
    reader = TimescaleStore(settings=log_in("read"))
    assert same(reader.read(*HERE), rows("trades"))
    assert reader.verify(*HERE) == []
    with pytest.raises(StoreError, match=r"read-only transaction.*mrtrade db roles"):
        write(reader, "trades", rows("trades"))
    reader.close()
    assert not status(log_in("read")).writes
    assert status(log_in("ingest")).writes
    assert sql(admin, "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname IN "
               "('trades', 'partitions', 'trade_flow_1m')") == [("mrtrade_owner",)]  # fmt: skip
    for secret in passwords.values():  # the server keeps verifiers only
        assert sql(
            admin, "SELECT count(*)::int FROM pg_authid WHERE rolpassword LIKE %s", f"%{secret}%"
        ) == [(0,)]


@on("plain")
def test_a_refusal_is_told_at_once_and_shows_no_password(settings):
    wrong = settings.model_copy(
        update={"password": TimescaleSettings(password="hunter2-wrong").password, "retries": 20}
    )
    with pytest.raises(StoreError, match=r"authentication failed.*TIMESCALE_PASSWORD") as found:
        TimescaleStore(settings=wrong)
    assert "hunter2" not in f"{found.value!r} {found.value.__cause__!r} {wrong!r}"
    nowhere = settings.model_copy(update={"database": "nowhere", "retries": 20})
    with pytest.raises(StoreError, match="does not exist"):
        TimescaleStore(settings=nowhere)
    closed = settings.model_copy(update={"port": 1, "retries": 1})
    with pytest.raises(StoreError, match=r"refused.*whether the server runs"):
        TimescaleStore(settings=closed)


@on("plain")
def test_a_statement_has_an_end(settings):
    with pytest.raises(StoreError, match="statement_timeout_s"):
        sql(settings.model_copy(update={"statement_timeout_s": 0.2}), "SELECT pg_sleep(20)")


@on("plain")
def test_a_connection_that_was_lost_is_made_again_for_reading(store, settings):
    content = rows("trades")
    write(store, "trades", content)
    sql(
        settings,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert same(store.read(*HERE), content)


@EVERYWHERE
def test_what_was_loaded_lately_is_not_old_however_old_its_rows_are(store, settings):
    write(store, "trades", rows("trades"))
    assert expired(store, "trades", 30) == []
    sql(settings, "UPDATE partitions SET written_at = now() - interval '40 days'")
    assert expired(store, "trades", 30) == [(HERE, DAY)]
    assert expired(store, "trades", 40 + 365 * 20) == []
    write(store, "trades", rows("trades"))  # replaced: new again
    assert expired(store, "trades", 30) == []


@on("plain")
def test_tls_is_used_and_the_server_is_checked(settings, server, tmp_path):
    key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    owner = server.data.stat()
    for file in (key, certificate):
        kept = server.data / file.name
        kept.write_bytes(file.read_bytes())
        kept.chmod(0o600)
        os.chown(kept, owner.st_uid, owner.st_gid)
    sql(settings, "ALTER SYSTEM SET ssl = on")
    try:
        sql(settings, "SELECT pg_reload_conf()")
        checked = settings.model_copy(
            update={"sslmode": "verify-full", "sslrootcert": certificate, "retries": 4}
        )
        migrate(checked)
        assert status(checked).tls.startswith("TLSv1.")
        assert status(settings.model_copy(update={"sslmode": "disable"})).tls == ""
        with pytest.raises(StoreError, match="certificate"):
            status(settings.model_copy(update={"sslmode": "verify-full"}))
    finally:
        sql(settings, "ALTER SYSTEM RESET ssl")
        sql(settings, "SELECT pg_reload_conf()")


@on("wasm")
def test_days_written_by_who_may_not_refresh_wait_for_who_may(store, settings, monkeypatch, caplog):
    plain = rows("trades")
    ones = pa.array([1.0] * 40)
    plain = plain.set_column(3, plain.schema.field(3), ones)
    plain = plain.set_column(4, plain.schema.field(4), ones)
    monkeypatch.setattr("mrtrade.data.timescale.aggregates.may_refresh", lambda connection: False)
    write(store, "trades", plain)
    assert status(settings).refreshes == 1
    monkeypatch.undo()
    write(store, "book_delta_v2", rows("book_delta_v2"))  # works off what others left, too
    assert status(settings).refreshes == 0
    assert sql(settings, "SELECT sum(trade_count)::int FROM trade_flow_1m") == [(40,)]
    # A product of these is no float8: their day stays noted, others do not wait for it.
    write(store, "trades", rows("trades"))
    assert "out of date until mrtrade db refresh" in caplog.text
    write(store, "book_delta_v2", rows("book_delta_v2"))
    assert sql(settings, "SELECT DISTINCT table_name FROM refreshes") == [("trades",)]
    with pytest.raises(StoreError, match="underflow"):
        store.refresh()
    write(store, "trades", plain)
    assert store.refresh() == 0
