import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtrade.clock import from_ns, to_ns
from mrtrade.data.loader import DataLoader
from mrtrade.errors import ConfigError, StoreError

from .feeds import HERE, MINUTE, SECOND, STEPS, T0, feed, store_of

START, END = T0 + 2 * MINUTE, T0 + 64 * MINUTE


@pytest.fixture(scope="module")
def tables():
    return feed(3)


@pytest.fixture(scope="module")
def loader(tables, tmp_path_factory):
    return DataLoader("binance", store_of(tmp_path_factory.mktemp("store"), tables), cache=False)


# ---- the joins against pandas


def bar_ends(rows, interval):
    """End of the bar that each row was received in: a row at the end of a bar is in it."""
    return from_ns(-(-rows["received_time"].to_numpy() // interval) * interval)


@pytest.mark.parametrize("interval", [MINUTE, 7 * SECOND, 15 * MINUTE])
def test_joins_are_those_of_merge_asof(loader, tables, interval):
    frame = loader.load_combined("FOO/USDT", interval, START, END, **STEPS)
    assert (np.diff(to_ns(frame.index)) == interval).all()
    at = pd.DataFrame({"received_time": to_ns(frame.index)})
    for table, ours in (
        ("funding", {"rate": "funding_rate", "mark_price": "mark_price"}),
        ("funding", {"index_price": "index_price", "next_funding_time": "next_funding_time"}),
        ("open_interest", {"open_interest": "open_interest"}),
    ):
        rows = tables[table].drop(columns="origin_time")
        slow = pd.merge_asof(at, rows, on="received_time")
        for theirs, name in ours.items():
            found, expected = frame[name].to_numpy(), slow[theirs].to_numpy()
            if name == "next_funding_time":
                found = np.where(frame[name].isna(), 0, frame[name].astype("int64"))
                expected = np.nan_to_num(expected, nan=0).astype(np.int64)
            np.testing.assert_array_equal(found, expected, name)
    received = pd.merge_asof(
        at, tables["funding"].assign(row=lambda x: x["received_time"]), on="received_time"
    )["row"]
    np.testing.assert_array_equal(
        np.where(frame["funding_time"].isna(), 0, frame["funding_time"].astype("int64")),
        received.fillna(0).astype("int64"),
    )


def test_flow_is_that_of_groupby(loader, tables):
    frame = loader.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    trades = tables["trades"]
    bars = trades.assign(value=trades["price"] * trades["quantity"]).groupby(
        bar_ends(trades, MINUTE)
    )
    slow = pd.DataFrame(
        {
            "open": bars["price"].first(),
            "high": bars["price"].max(),
            "low": bars["price"].min(),
            "close": bars["price"].last(),
            "vwap": bars["value"].sum() / bars["quantity"].sum(),
            "volume": bars["quantity"].sum(),
            "trades": bars.size().astype(float),
        }
    )
    for side in ("buy", "sell"):
        part = trades[trades["side"] == side]
        slow[f"{side}_volume"] = part.groupby(bar_ends(part, MINUTE))["quantity"].sum()
    slow = slow.fillna({"buy_volume": 0.0, "sell_volume": 0.0}).reindex(frame.index)
    flows = ["volume", "buy_volume", "sell_volume", "trades"]
    quiet = slow["trades"].isna()
    last = pd.merge_asof(
        pd.DataFrame({"received_time": to_ns(frame.index)}),
        trades.assign(last=trades["received_time"])[["received_time", "last"]],
        on="received_time",
    )["last"]
    recent = (to_ns(frame.index) - last.to_numpy()) <= 10 * MINUTE
    assert (quiet & recent).any()
    assert (quiet & ~recent).any()
    for name in flows:
        slow.loc[quiet & recent, name] = 0.0
    pd.testing.assert_frame_equal(frame[slow.columns], slow, check_names=False, check_freq=False)
    closed = tables["liquidations"]
    for side, name in (("sell", "long_liquidations"), ("buy", "short_liquidations")):
        part = closed[closed["side"] == side]
        sums = part.groupby(bar_ends(part, MINUTE))["quantity"].sum().reindex(frame.index)
        before = frame.index < from_ns(closed["received_time"].iloc[0])
        assert before.sum() > 1
        expected = np.where(before, np.nan, sums.fillna(0.0))
        np.testing.assert_array_equal(frame[name], expected)


def test_book_is_the_one_of_a_loop(loader, tables):
    """Levels kept in a dict, messages resolved by mrcore alone where they cross: compare sizes."""
    frame = loader.load_order_book_snapshots("FOO/USDT", START, END, "30s", 40, **STEPS)
    deltas, seeds = tables["book_delta_v2"], tables["book_seed"]
    groups = [rows for _, rows in seeds.groupby("received_time")]
    checked = gaps = 0
    for time, row in zip(to_ns(frame.index), frame.itertuples(), strict=True):
        known = [rows for rows in groups if rows["received_time"].iloc[0] <= time]
        received = deltas["received_time"]
        last = max(
            [received[received <= time].max(), *(rows["received_time"].iloc[0] for rows in known)]
        )
        if time - last >= 10 * MINUTE:
            assert np.isnan(row.bid_0_price)
            assert np.isnan(row.ask_0_price)
            assert not row.seeded
            gaps += 1
        else:
            assert row.received_time == from_ns(last)
            if not np.isnan(row.bid_0_price + row.ask_0_price):
                assert row.bid_0_price < row.ask_0_price
                checked += 1
    assert checked > 50
    assert gaps > 5


@pytest.mark.parametrize("interval", ["1m", "3m"])
def test_candles_are_joined_when_they_are_known(loader, tables, interval):
    length = int(interval[0]) * MINUTE
    frame = loader.load_combined("FOO/USDT", interval, START, END, bars="candles", **STEPS)
    bars = loader.load_ohlcv("FOO/USDT", interval, START - 12 * MINUTE, END)
    for time, row in zip(to_ns(frame.index), frame.itertuples(), strict=True):
        ends = to_ns(bars.index)
        known = bars[(to_ns(bars["known"]) <= time) & bars["close"].notna().to_numpy()]
        known = known[to_ns(known.index) >= time - -(-10 * MINUTE // length) * length]
        assert len(ends)
        if known.empty:
            assert np.isnan(row.close)
            assert pd.isna(row.bar_stop)
        else:
            assert (row.bar_stop, row.close) == (known.index[-1], known["close"].iloc[-1])


# ---- bars


def test_bars_of_trades_are_those_of_groupby(tables, tmp_path):
    del (tables := dict(tables))["candles"]
    loader = DataLoader("binance", store_of(tmp_path, tables), cache=False)
    frame = loader.load_ohlcv("FOO/USDT", "1m", START, END)
    assert frame.attrs == {"source": "trades"}
    trades = tables["trades"]
    origin, received = trades["origin_time"], trades["received_time"]
    time = np.where(origin > 0, origin, received)
    trades = trades.assign(time=time).sort_values("time", kind="stable")
    stop = from_ns((trades["time"].to_numpy() // MINUTE + 1) * MINUTE)
    bars = trades.groupby(stop)
    slow = pd.DataFrame(
        {
            "open": bars["price"].first(),
            "high": bars["price"].max(),
            "low": bars["price"].min(),
            "close": bars["price"].last(),
        }
    ).reindex(frame.index)
    pd.testing.assert_frame_equal(
        frame[["open", "high", "low", "close"]], slow, check_names=False, check_freq=False
    )
    last = bars["received_time"].max().reindex(frame.index, fill_value=0)
    np.testing.assert_array_equal(to_ns(frame["known"]), np.maximum(to_ns(frame.index), last))
    assert (frame["known"] > frame.index).any()
    empty = frame[frame["close"].isna()]
    assert {0.0} < set(empty["volume"].fillna(-1.0))  # 0, and not known in the pause


def test_partial_bars_at_both_ends_are_left_out(tmp_path):
    at = T0 + SECOND * np.array([30, 61, 90, 150, 185, 200])
    trades = pd.DataFrame(
        {
            "origin_time": at,
            "received_time": at,
            "side": "buy",
            "quantity": 1.0,
            "price": 100.0,
            "trade_id": list("abcdef"),
        }
    )
    loader = DataLoader("binance", store_of(tmp_path, {"trades": trades}), cache=False)
    frame = loader.load_ohlcv("FOO/USDT", "1m")
    # The recording begins within the first minute and ends within the fourth.
    assert frame.index.tolist() == [from_ns(T0 + 2 * MINUTE), from_ns(T0 + 3 * MINUTE)]
    assert frame["trades"].tolist() == [2, 1]
    # Recorded before the span began: its first bar is whole.
    frame = loader.load_ohlcv("FOO/USDT", "1m", T0 + MINUTE, T0 + 2 * MINUTE)
    assert frame.index.tolist() == [from_ns(T0 + 2 * MINUTE)]
    with pytest.raises(StoreError, match="no whole bar of 5m of BINANCE FOO/USDT from"):
        loader.load_ohlcv("FOO/USDT", "5m")


def one_trade_each(*times):
    """Trades of 1 at (exchange time, receipt), ns after T0."""
    origin, received = T0 + np.array(sorted(times, key=lambda pair: pair[1])).T
    columns = {"side": "buy", "quantity": 1.0, "price": 100.0, "trade_id": ""}
    return pd.DataFrame({"origin_time": origin, "received_time": received, **columns})


def test_a_bar_waits_ten_minutes_for_its_trades(tmp_path):
    late = 10 * MINUTE
    times = [(second * SECOND, second * SECOND) for second in range(0, 1_500, 20)]
    times += [(90 * SECOND, 2 * MINUTE + late - 1), (91 * SECOND, 2 * MINUTE + late)]
    loader = DataLoader(
        "binance", store_of(tmp_path, {"trades": one_trade_each(*times)}), cache=False
    )
    bars = loader.load_ohlcv("FOO/USDT", "1m")
    assert bars["trades"].tolist() == [3, 4] + 22 * [3]  # the first of both is in
    assert bars["known"].iloc[1] == from_ns(T0 + 2 * MINUTE + late - 1)
    one = loader.load_ohlcv("FOO/USDT", "1m", T0 + MINUTE, T0 + 2 * MINUTE)
    pd.testing.assert_frame_equal(one, bars.iloc[[1]])


def test_a_span_that_begins_at_midnight_begins_with_a_whole_bar(loader):
    midnight = T0 + 60 * MINUTE
    for frame in (
        loader.load_combined("FOO/USDT", "1m", midnight, END, **STEPS),
        loader.load_ohlcv("FOO/USDT", "20s", midnight, END).iloc[2:],
        loader.load_order_book_snapshots("FOO/USDT", midnight, END, **STEPS),
    ):
        assert frame.index[0] == from_ns(midnight + MINUTE)


def test_the_book_is_not_believed_when_the_deltas_have_ended(tables, tmp_path):
    last = int(tables["book_delta_v2"]["received_time"].iloc[-1])
    minutes = -(-(last - T0) // MINUTE) + np.arange(30)
    these = {**tables, "trades": one_trade_each(*((at, at) for at in (minutes * MINUTE).tolist()))}
    loader = DataLoader("binance", store_of(tmp_path, these), cache=False)
    frame = loader.load_combined("FOO/USDT", "1s", last - MINUTE, last + 20 * MINUTE, **STEPS)
    believed = to_ns(frame.index) < last + 10 * MINUTE
    assert frame.loc[believed, "ask_0_price"].notna().any()
    assert frame.loc[~believed, ["bid_0_price", "ask_0_price"]].isna().all(axis=None)
    assert not frame.loc[~believed, "seeded"].any()
    assert (~believed).sum() > 500


def test_longer_bars_are_made_of_whole_ones_only(loader, tables):
    one = loader.load_ohlcv("FOO/USDT", "1m", START, END)
    five = loader.load_ohlcv("FOO/USDT", "5m", START, END)
    assert (one.attrs["source"], five.attrs["source"]) == ("candles of 60 s", "candles of 60 s")
    whole = 0
    for time, bar in five.iterrows():
        parts = one[(one.index > time - pd.Timedelta("5min")) & (one.index <= time)]
        if len(parts) < 5 or parts["close"].isna().any():
            assert bar[["open", "high", "low", "close", "volume", "trades"]].isna().all()
            continue
        whole += 1
        assert bar["open"] == parts["open"].iloc[0]
        assert bar["high"] == parts["high"].max()
        assert bar["low"] == parts["low"].min()
        assert bar["close"] == parts["close"].iloc[-1]
        assert bar["volume"] == pytest.approx(parts["volume"].sum(), rel=1e-14)
        assert bar["known"] == max(time, parts["known"].max())
    assert whole > 3
    assert one["close"].isna().any()  # a candle that is not there is a row all the same


def test_last_millisecond_as_stop_and_candles_that_grow(tmp_path):
    start = T0 + MINUTE * np.arange(6).repeat(3)
    received = start + np.tile([20 * SECOND, 61 * SECOND, 3_000 * SECOND], 6)
    rows = pd.DataFrame(
        {
            "origin_time": start,
            "received_time": received,
            "start": start,
            "stop": start + MINUTE - 10**6,
            **{name: 1.0 for name in ("open", "high", "low")},
            "close": np.tile([1.0, 2.0, 3.0], 6),
            "volume": 1.0,
        }
    ).sort_values("received_time")
    loader = DataLoader("binance", store_of(tmp_path, {"candles": rows}), cache=False)
    bars = loader.load_ohlcv("FOO/USDT", "1m")
    assert bars["close"].tolist() == [2.0] * 6
    assert to_ns(bars.index).tolist() == (T0 + MINUTE * np.arange(1, 7)).tolist()


# ---- pieces


@settings(max_examples=8)
@given(seconds=st.integers(5, 4_000), rows=st.integers(1, 600), seed=st.integers(1, 2))
def test_pieces_are_the_whole(stores, seconds, rows, seed):
    loader, chunk = stores[seed], seconds * SECOND
    for whole, pieces in (
        (
            loader.load_combined("FOO/USDT", "20s", START, END, **STEPS),
            loader.iter_combined("FOO/USDT", "20s", START, END, chunk=chunk, **STEPS),
        ),
        (
            loader.load_combined("FOO/USDT", "1m", START, END, bars="candles", **STEPS),
            loader.iter_combined(
                "FOO/USDT", "1m", START, END, bars="candles", chunk=chunk, **STEPS
            ),
        ),
        (
            loader.load_order_book_snapshots("FOO/USDT", START, END, "5s", 4, **STEPS),
            loader.iter_order_book_snapshots("FOO/USDT", START, END, "5s", 4, chunk=chunk, **STEPS),
        ),
        (
            loader.load_ohlcv("FOO/USDT", "3m"),
            loader.iter_ohlcv("FOO/USDT", "3m", chunk=chunk),
        ),
        (  # of trades: no candle is as short
            loader.load_ohlcv("FOO/USDT", "20s", START, END),
            loader.iter_ohlcv("FOO/USDT", "20s", START, END, chunk=chunk),
        ),
        (loader.load_trades("FOO/USDT"), loader.iter_trades("FOO/USDT", rows=rows)),
    ):
        frames = list(pieces)
        pd.testing.assert_frame_equal(pd.concat(frames), whole, check_freq=False)
        if len(whole) > 400:
            assert len(frames) > 1 or seconds > 2_000 or rows > 200


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return {
        seed: DataLoader(
            "binance", store_of(tmp_path_factory.mktemp("stores"), feed(seed)), cache=False
        )
        for seed in (1, 2)
    }


def test_pieces_of_trades_have_the_size_asked_for(loader, tables):
    sizes = [len(piece) for piece in loader.iter_trades("FOO/USDT", rows=100)]
    n = len(tables["trades"])
    assert sizes == [100] * (n // 100) + [n % 100] * (n % 100 > 0)


# ---- events


def test_events_are_the_rows_of_the_store(loader, tables):
    for load, table in (
        (loader.load_trades, "trades"),
        (loader.load_funding, "funding"),
        (loader.load_open_interest, "open_interest"),
        (loader.load_liquidations, "liquidations"),
    ):
        frame, rows = load("FOO/USDT", START, END), tables[table]
        rows = rows[(rows["received_time"] >= START) & (rows["received_time"] < END)]
        assert (to_ns(frame.index) == rows["received_time"]).all()
        assert str(frame.index.dtype) == "datetime64[ns, UTC]"
        assert frame.index.name == "time"
        assert "received_time" not in frame
        for name in frame:
            values = rows[name].to_numpy() if name in rows else None
            if name in ("origin_time", "next_funding_time"):
                assert str(frame[name].dtype) == "datetime64[ns, UTC]"
                assert (frame[name].isna().to_numpy() == (values <= 0)).all()
                there = values > 0
                assert (to_ns(frame[name][there]) == values[there]).all()
            elif name in ("liquidation_id", "status"):
                assert frame[name].isna().all()
            elif frame[name].dtype == np.float64:
                np.testing.assert_array_equal(frame[name], values)
            else:
                assert frame[name].tolist() == values.tolist()
    assert frame["side"].cat.categories.tolist() == ["buy", "sell"]


# ---- refusals


def test_unknown_symbol_says_what_is_there(loader):
    for load in (
        loader.load_trades,
        loader.load_ohlcv,
        loader.load_order_book_snapshots,
        loader.load_combined,
        loader.iter_trades,
        loader.store_snapshots,
    ):
        with pytest.raises(
            StoreError, match=r"of BINANCE BAR/USDT.*expected one of BINANCE FOO/USDT"
        ):
            load("BAR/USDT")
    with pytest.raises(StoreError, match="no trades of BINANCE_FUTURES FOO/USDT-PERP"):
        loader.load_trades("FOO/USDT-PERP")  # another market of Binance


def test_what_is_there_of_a_symbol_is_said(tables, tmp_path):
    loader = DataLoader("binance", store_of(tmp_path, {"funding": tables["funding"]}), cache=False)
    with pytest.raises(StoreError, match="no trades of BINANCE FOO/USDT, only funding"):
        loader.load_trades("FOO/USDT")


def test_spans_that_are_none(loader):
    loads = (
        loader.load_trades,
        lambda symbol, a, b: loader.load_ohlcv(symbol, "1m", a, b),
        lambda symbol, a, b: loader.load_order_book_snapshots(symbol, a, b, **STEPS),
        lambda symbol, a, b: loader.load_combined(symbol, "1m", a, b, **STEPS),
    )
    for load in loads:
        with pytest.raises(ConfigError, match=r"start is not before end.*2024-08-08 23:02"):
            load("FOO/USDT", START, START)
        with pytest.raises(ConfigError, match="start is not before end"):
            load("FOO/USDT", END, START)
        with pytest.raises(StoreError, match=r"from 2023-01-01 .*a span within 2024-08-08 23:"):
            load("FOO/USDT", "2023-01-01", "2023-02-01")


def test_other_refusals(loader):
    with pytest.raises(ConfigError, match="not a depth, was 0"):
        loader.load_order_book_snapshots("FOO/USDT", depth=0, **STEPS)
    with pytest.raises(ConfigError, match="bars: not what bars are made from, was 'books'"):
        loader.load_combined("FOO/USDT", bars="books", **STEPS)
    with pytest.raises(ConfigError, match="not a length of time, was 'soon'"):
        loader.load_ohlcv("FOO/USDT", "soon")
    with pytest.raises(ConfigError, match=r"unknown instrument BINANCE FOO/USDT.*tick_size=0.5"):
        loader.load_order_book_snapshots("FOO/USDT")
    with pytest.raises(ConfigError, match="rows: not a number of rows, was 0"):
        loader.iter_trades("FOO/USDT", rows=0)


def test_a_store_written_to_meanwhile(tables, tmp_path):
    store = store_of(tmp_path, tables)
    loader = DataLoader("binance", store, cache=False)
    pieces = loader.iter_combined("FOO/USDT", "1m", START, END, chunk="10m", **STEPS)
    next(pieces)
    late = tables["funding"].iloc[:1].assign(rate=0.5)
    store.write("funding", *HERE, late)
    with pytest.raises(StoreError, match="the store was written to while it was read"):
        list(pieces)


def test_store_is_found_by_environment(tables, tmp_path, monkeypatch):
    store_of(tmp_path / "here", tables)
    monkeypatch.setenv("MRTRADE_STORE", str(tmp_path / "here"))
    assert len(DataLoader(cache=False).load_funding("FOO/USDT")) == 60
    monkeypatch.delenv("MRTRADE_STORE")
    monkeypatch.chdir(tmp_path / "here" / "..")
    (tmp_path / "here").rename(tmp_path / "store")
    assert len(DataLoader(cache=False).load_funding("FOO/USDT")) == 60


# ---- snapshots into the store


def test_snapshots_are_stored_by_the_day(tables, tmp_path):
    store = store_of(tmp_path, tables)
    loader = DataLoader("binance", store, cache=False)
    written = loader.store_snapshots("FOO/USDT", **STEPS)
    assert [entry.day for entry in written] == ["2024-08-08", "2024-08-09"]
    frame = loader.load_order_book_snapshots("FOO/USDT", **STEPS)
    held = frame["bid_0_price"].notna() | frame["ask_0_price"].notna()
    frame = frame[frame["seeded"] & held]
    rows = store.read("book_snapshots", *HERE).to_pandas()
    assert rows["received_time"].tolist() == to_ns(frame.index).tolist()
    assert rows["origin_time"].tolist() == to_ns(frame["origin_time"]).tolist()
    for name in rows.columns[2:]:
        np.testing.assert_array_equal(rows[name], frame[name], name)
    assert loader.store_snapshots("FOO/USDT", **STEPS) == []  # nothing new
    late = tables["book_delta_v2"].iloc[-1:].assign(received_time=END + 10 * MINUTE)
    store.write("book_delta_v2", *HERE, late.assign(sequence_number=9_999))
    assert [entry.day for entry in loader.store_snapshots("FOO/USDT", **STEPS)] == ["2024-08-09"]
    one = loader.store_snapshots("FOO/USDT", "2024-08-08", "2024-08-09", **STEPS)
    assert one == []  # asked for by the day, the day is the same
