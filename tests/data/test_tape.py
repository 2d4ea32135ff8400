import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.book import L2Book
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.streams import MAX_AHEAD_NS, MAX_GAP_NS, Clock
from mrtrade.data.tape import TapeStream, find_instrument, load_tape
from mrtrade.errors import ConfigError, StoreError
from mrtrade.instruments import instrument

from .lake import SECOND, T0, deltas, trades

HERE = ("BINANCE", "FOO/USDT")
FOO = instrument(*HERE, tick_size=0.5, lot_size=0.25)
FAR = 10**12  # ns: a time that is nobody's
SEED = deltas((100, 10, True, 99, 1), (100, 10, False, 101, 1), (100, 10, False, 102, 0))


@pytest.fixture
def store(tmp_path):
    return ParquetStore(tmp_path)


def fill(store, rows, seed=None, flow=None):
    store.write("book_delta_v2", *HERE, rows)
    if seed is not None:
        store.write("book_seed", *HERE, seed)
    if flow is not None:
        store.write("trades", *HERE, flow)


def events(stream):
    """(time - T0, side, price, size) of every row."""
    time, side, tick, lots = stream
    return list(
        zip(
            (time - T0).tolist(),
            side.tolist(),
            (tick * FOO.tick_size).tolist(),
            (lots * FOO.lot_size).tolist(),
            strict=True,
        )
    )


CLEAR_AND_LEVELS = [(100, 0, 0, 0), (100, 1, 99, 1), (100, -1, 101, 1)]


def test_types_and_read_only_columns(store):
    fill(store, deltas((200, 11, True, 100, 2)), SEED, trades((300, "sell", 1, 99, 1)))
    tape = load_tape(store, FOO)
    for stream in (tape.deltas, tape.trades):
        assert [column.dtype for column in stream] == [np.int64, np.int8, np.int32, np.int64]
        assert not any(column.flags.writeable for column in stream)
    assert (tape.start_ns, tape.end_ns, tape.seeded) == (T0 + 100, T0 + 200, True)


def test_snapshot_then_newer_deltas(store):
    rows = deltas((200, 9, True, 98, 1), (300, 10, True, 98, 3), (400, 12, True, 99, 2))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [*CLEAR_AND_LEVELS, (400, 1, 99, 2)]
    assert tape.stats["deltas_in_snapshot"] == 2


def test_late_snapshot_keeps_the_newer_deltas_received_before_it(store):
    rows = deltas(
        (10, 8, True, 98, 1), (20, 10, True, 99, 9), (30, 11, False, 101, 0), (200, 12, True, 99, 2)
    )
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [*CLEAR_AND_LEVELS, (100, -1, 101, 0), (200, 1, 99, 2)]
    assert tape.stats["deltas_before_snapshot"] == 2
    assert tape.stats["deltas_late_snapshot"] == 1
    assert tape.stats["delta_times_moved"] == 1


def test_deltas_of_an_earlier_connection_are_not_newer_than_a_snapshot(store):
    """Numbers start again with each connection: 900 is older than 10 here."""
    rows = deltas((10, 900, True, 98, 1), (20, 11, False, 101, 0), (200, 12, True, 99, 2))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [*CLEAR_AND_LEVELS, (100, -1, 101, 0), (200, 1, 99, 2)]
    rows = deltas((10, 900, True, 98, 1), (200, 12, True, 99, 2))
    other = ParquetStore(store.root / "other")
    fill(other, rows, SEED)
    assert events(load_tape(other, FOO).deltas) == [*CLEAR_AND_LEVELS, (200, 1, 99, 2)]


def test_without_sequence_numbers_the_receive_time_decides(store):
    rows = deltas((10, -1, True, 98, 1), (100, -1, True, 98, 2), (200, -1, True, 99, 2))
    seed = deltas((100, -1, True, 99, 1), (100, -1, False, 101, 1))
    fill(store, rows, seed)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [*CLEAR_AND_LEVELS, (100, 1, 98, 2), (200, 1, 99, 2)]


def test_a_second_snapshot_clears_and_keeps_what_it_lacks(store):
    rows = deltas((200, 11, True, 98, 1), (300, 21, True, 97, 4), (500, 22, True, 96, 5))
    seed = pa.concat_tables([SEED, deltas((400, 20, True, 95, 1), (400, 20, False, 105, 1))])
    fill(store, rows, seed)
    assert events(load_tape(store, FOO).deltas) == [
        *CLEAR_AND_LEVELS,
        (200, 1, 98, 1),
        (300, 1, 97, 4),
        (400, 0, 0, 0),
        (400, 1, 95, 1),
        (400, -1, 105, 1),
        (400, 1, 97, 4),  # newer than the snapshot, so applied again
        (500, 1, 96, 5),
    ]


def test_without_snapshot_the_tape_begins_cold(store):
    fill(store, deltas((10, 1, True, 99, 1), (20, 2, True, 98, 1)))
    tape = load_tape(store, FOO)
    assert not tape.seeded
    assert events(tape.deltas) == [(10, 1, 99, 1), (20, 1, 98, 1)]
    assert events(tape.trades) == []


def test_trades_are_kept_while_the_book_is_known(store):
    flow = trades(
        (99, "buy", 1, 101, 1),
        (100, "buy", 2, 101, 2),
        (150, "sell", 3, 99, 3),
        (201, "buy", 4, 101, 4),
    )
    fill(store, deltas((200, 11, True, 98, 1)), SEED, flow)
    tape = load_tape(store, FOO)
    assert events(tape.trades) == [(100, 1, 101, 2), (150, -1, 99, 3)]
    assert tape.stats["trades_before_book"] == 1
    assert tape.stats["trades_after_book"] == 1


def test_a_trade_received_after_the_last_delta_is_left_out_whatever_its_time(store):
    rows = deltas((200, 11, True, 98, 1, 300))
    fill(store, rows, SEED, trades((150, "buy", 1, 101, 1), (250, "buy", 1, 101, 2)))
    tape = load_tape(store, FOO)
    assert events(tape.trades) == [(150, 1, 101, 1)]
    assert tape.stats["trades_after_book"] == 1


def test_receive_clock_behind_the_exchange_clock(store):
    """Trap: the collector's clock is 1.3 s behind; the snapshot has no exchange time."""
    ahead = 1_300_000_000
    rows = deltas((10, 9, True, 98, 1, 10 + ahead), (200, 11, True, 99, 2, 200 + ahead))
    seed = deltas((100, 10, True, 99, 1, -T0), (100, 10, False, 101, 1, -T0))
    fill(store, rows, seed, trades((150, "buy", 1, 101, 1)))
    tape = load_tape(store, FOO)
    assert (tape.deltas.time - T0).tolist() == [100 + ahead] * 3 + [200 + ahead]
    assert tape.stats["delta_times_missing"] == 1
    # this trade has the collector's clock for the exchange's: it is before the book
    assert tape.stats["trades_before_book"] == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.one_of(st.sampled_from([0, -1, FAR]), st.integers(1, 90))),
        min_size=1,
    ),
    st.integers(1, 5),
)
def test_clock_is_causal_monotone_and_the_same_for_every_chunking(rows, size):
    received = np.cumsum([gap for gap, _ in rows])
    origin = np.array([stated for _, stated in rows])
    clock = Clock(offset=7)
    parts = [
        clock.times(origin[at : at + size], received[at : at + size])
        for at in range(0, len(rows), size)
    ]
    expected, offset, now = [], 7, 0
    for one_origin, one_received in zip(origin.tolist(), received.tolist(), strict=True):
        if 0 < one_origin <= one_received + MAX_AHEAD_NS:
            offset = one_origin - one_received
        now = max(now, one_received + offset)
        expected.append(now)
    assert np.concatenate(parts).tolist() == expected
    assert clock.counts["times_missing"] == np.count_nonzero(origin <= 0)
    assert clock.counts["times_ahead"] == np.count_nonzero(origin == FAR)


def test_a_time_far_ahead_does_not_hold_the_clock(store):
    """Neither in the stream, nor as the offset of a snapshot, nor as the end of a pause."""
    far = 3_560 * SECOND
    rows = deltas(
        (10, 9, True, 98, 1, 10 + far),
        (200, 11, True, 98, 2),
        (300, 12, True, 98, 3, 300 + far),
        (310, 13, True, 98, 4, 310 + MAX_AHEAD_NS // 5),
        (2 * SECOND, 14, True, 98, 5),
    )
    seed = deltas((100, 10, True, 99, 1, -T0), (100, 10, False, 101, 1, -T0))
    fill(store, rows, seed, trades((150, "sell", 1, 99, 1)))
    tape = load_tape(store, FOO)
    times = [time for time, *_ in events(tape.deltas)]
    assert times == [100, 100, 100, 200, 300, 310 + 2 * SECOND, 310 + 2 * SECOND]
    assert tape.stats["delta_times_ahead"] == 1  # the first came before the book
    assert len(tape.trades.time) == 1
    clock = Clock()
    clock.times(np.array([T0]), np.array([T0]))
    received = T0 + 60 * SECOND
    assert clock.pause(received + far, received, 600 * SECOND) == received


def test_a_time_far_behind_costs_only_itself():
    received = T0 + SECOND * np.arange(4)
    origin = received - [0, 3_600 * SECOND, 0, 0]
    assert (Clock().times(origin, received) - T0).tolist() == [0, 0, 2 * SECOND, 3 * SECOND]


def random_recording(rng, n):
    times = np.sort(rng.integers(101, 5 * SECOND, n))
    sequences = 11 + np.cumsum(rng.integers(0, 2, n))
    bids = rng.random(n) < 0.5
    prices = np.where(bids, 100 - rng.integers(0, 20, n) / 2, 100.5 + rng.integers(0, 20, n) / 2)
    sizes = rng.integers(0, 4, n) / 4
    columns = (times, sequences, bids, prices, sizes)
    return deltas(*zip(*(column.tolist() for column in columns), strict=True))


def final_book(tape):
    book = L2Book(FOO.tick_size, FOO.lot_size)
    book.apply(*tape.deltas[1:], tape.deltas.time)
    return [side.tolist() for side in book.levels(1_000)]


def test_a_start_gives_the_book_of_everything_before_it(store, monkeypatch):
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 64)
    rows = random_recording(np.random.default_rng(1), 2_000)
    fill(store, rows, SEED)
    whole = load_tape(store, FOO)
    received = rows["receipt_timestamp"].to_numpy()
    for at in (0, 1, 777, 1_500, 1_999):
        start = int(received[at])
        tape = load_tape(store, FOO, start=start)
        first = int(np.searchsorted(received, start))
        assert at < 2 or tape.stats["deltas"] < len(whole.deltas.time)
        assert tape.deltas.side[0] == 0
        assert final_book(tape) == final_book(whole)
        later = np.count_nonzero(tape.deltas.time >= start)
        assert later == len(received) - first
    end = load_tape(store, FOO, end=int(received[1_000]))
    assert end.end_ns < received[1_000]
    assert end.deltas.time[-1] == received[np.searchsorted(received, received[1_000]) - 1]


def test_a_start_after_a_lost_delete_believes_the_newer_side(store):
    """The ask at 100 crosses the bid at 100.5, whose delete was lost: no replay keeps that bid."""
    rows = deltas((200, 11, True, 100.5, 1), (300, 12, False, 100, 2), (400, 13, True, 98, 1))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO, start=T0 + 400)
    whole = [[[99, 1], [98, 1]], [[100, 2], [101, 1]]]
    assert final_book(load_tape(store, FOO)) == final_book(tape) == whole


def test_chunks_of_any_size_give_the_same_tape(tmp_path, monkeypatch):
    rows = random_recording(np.random.default_rng(2), 500)
    late = deltas((50, 11, True, 99.5, 1), (60, 11, False, 101, 0))
    second = deltas((2 * SECOND, 150, True, 99, 1), (2 * SECOND, 150, False, 101, 1))
    back = 6 * SECOND + MAX_GAP_NS
    more = deltas(
        (back, 9_001, True, 99, 1),
        (back + 9, 9_000, True, 95, 1, -T0),
        (back + 9, 9_000, False, 105, 1, -T0),
        (back + 10, 9_002, True, 98, 1),
        (2 * back, 9_003, True, 97, 1),
    )
    tapes = []
    for size in (1, 7, 10**6):
        monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", size)
        store = ParquetStore(tmp_path / str(size))
        fill(store, pa.concat_tables([late, rows, more]), pa.concat_tables([SEED, second]))
        tapes.append(load_tape(store, FOO))
    assert (tapes[0].stats["gaps"], tapes[0].stats["snapshots_in_stream"]) == (2, 1)
    for tape in tapes[1:]:
        for ours, theirs in zip(tape.deltas, tapes[0].deltas, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert tape.stats == tapes[0].stats
        assert tape.fingerprint == tapes[0].fingerprint


recordings = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 40, MAX_GAP_NS // SECOND + 1]),  # s since the row before
        st.integers(-3, 3),  # s by which the exchange's clock is ahead
        st.sampled_from([None, *range(8)]),  # delta; None: a trade
        st.booleans(),  # without a time of the exchange
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40)
@given(
    recordings, st.integers(1, 9), st.sets(st.integers(0, 59), max_size=3), st.integers(-1, 2_000)
)
def test_chunks_one_after_the_other_are_the_tape(tmp_path_factory, rows, size, seeds, start):
    """Whatever the two clocks do, however it is cut; no event is as early as what is past."""
    store = ParquetStore(tmp_path_factory.mktemp("store"))
    book, flow, snapshots, time = [deltas((0, 0, True, 90, 1)).to_pylist()[0]], [], [], 0
    for at, (wait, ahead, tick, untimed) in enumerate(rows):
        time += wait * SECOND
        stated = -T0 if untimed else time + ahead * SECOND
        if tick is None:
            [row] = trades((time, "buy", 1, 100, at)).to_pylist()
            flow.append({**row, "timestamp": T0 + stated})
        else:
            book += deltas((time, at, tick % 2 == 0, 98 + tick, 1, stated)).to_pylist()
        if at in seeds:
            snapshots += seed_at(time, at).to_pylist()
    tables = {"book_delta_v2": book, "trades": flow, "book_seed": snapshots}
    for name, table in tables.items():
        if table:
            store.write(name, *HERE, pa.Table.from_pylist(table))
    begin = None if start < 0 else T0 + start * SECOND
    for latency in (None, 5):
        with pytest.MonkeyPatch.context() as patched:
            try:
                tape = load_tape(store, FOO, begin, base_latency_ns=latency)
            except StoreError:
                return  # no book from the start on
            patched.setattr("mrtrade.data.parquet.parts.BATCH_ROWS", size)
            stream = TapeStream(store, FOO, begin, base_latency_ns=latency)
            chunks = list(stream)
        for name in ("deltas", "trades"):
            parts = [getattr(chunk, name) for chunk in chunks]
            for whole, *cut in zip(getattr(tape, name), *parts, strict=True):
                np.testing.assert_array_equal(np.concatenate(cut), whole)
            past = T0 - MAX_AHEAD_NS
            for part, chunk in zip(parts, chunks, strict=True):
                assert np.all((part.time > past) & (part.time <= chunk.until_ns))
                past = chunk.until_ns
        assert (stream.stats, stream.seeded) == (tape.stats, tape.seeded)
        assert stream.fingerprint == tape.fingerprint


GAP = MAX_GAP_NS
DAY_NS = 86_400 * SECOND


def seed_at(time, sequence):
    return deltas((time, sequence, True, 95, 1), (time, sequence, False, 105, 1))


def book_at(time):
    return [(time, 0, 0, 0), (time, 1, 95, 1), (time, -1, 105, 1)]


@pytest.mark.parametrize("pause", [GAP, GAP + 1])
def test_a_book_is_carried_to_the_start_only_without_a_gap(store, pause):
    late = 200 + pause
    fill(store, deltas((200, 11, True, 98, 1), (late, 12, True, 97, 2)), SEED)
    tape = load_tape(store, FOO, start=T0 + 201)
    carried = [(200, 0, 0, 0), (200, -1, 101, 1), (200, 1, 98, 1), (200, 1, 99, 1)]
    if pause == GAP:
        assert sorted(events(tape.deltas)[:-1]) == sorted(carried)
        assert tape.seeded
    else:
        assert len(tape.deltas.time) == 1
        assert not tape.seeded
    assert events(tape.deltas)[-1] == (late, 1, 97, 2)
    assert tape.stats["gaps"] == 0


def test_a_gap_within_what_would_be_carried(store):
    """Both ends are close to a delta, the gap is between."""
    rows = deltas(
        (200, 11, True, 98, 1), (201 + GAP, 12, True, 97, 2), (300 + GAP, 13, True, 96, 2)
    )
    fill(store, rows, SEED)
    assert events(load_tape(store, FOO, start=T0 + 299 + GAP).deltas) == [(300 + GAP, 1, 96, 2)]


def test_after_a_gap_the_tape_begins_with_the_first_snapshot_from_start_on(store):
    far = 20 * DAY_NS
    rows = deltas(
        (200, 11, True, 98, 1),
        (far + 10, 19, True, 97, 2),
        (far + 20, 21, True, 96, 2),
        (far + 200, 22, True, 94, 2),
    )
    flow = trades(
        (150, "buy", 1, 101, 1), (far + 50, "buy", 1, 101, 2), (far + 150, "buy", 1, 1, 3)
    )
    fill(store, rows, pa.concat_tables([SEED, seed_at(far + 100, 20)]), flow)
    tape = load_tape(store, FOO, start=T0 + far)
    assert events(tape.deltas) == [
        *book_at(far + 100),
        (far + 100, 1, 96, 2),
        (far + 200, 1, 94, 2),
    ]
    assert events(tape.trades) == [(far + 150, 1, 1, 1)]
    assert tape.start_ns == T0 + far + 100
    assert tape.stats["deltas_before_snapshot"] == 1
    assert tape.stats["trades_before_book"] == 1
    alone = ParquetStore(store.root / "alone")
    fill(alone, rows.slice(1), seed_at(far + 100, 20), flow.slice(1))
    assert load_tape(alone, FOO).stats == tape.stats


def test_two_recordings_are_no_tape(store):
    fill(store, deltas((200, 11, True, 98, 1), (201 + DAY_NS, 12, True, 97, 2)), SEED)
    with pytest.raises(StoreError, match="more than a day") as caught:
        load_tape(store, FOO)
    assert "2024-08-08 00:00:00.000000200+00:00; 2024-08-09 00:00" in str(caught.value)
    assert len(load_tape(store, FOO, start="2024-08-09").deltas.time) == 1
    assert load_tape(store, FOO, end="2024-08-09").seeded
    fill(store, deltas((201, 11, True, 98, 2)))  # now the pause is a day, no longer
    assert load_tape(store, FOO).stats["gaps"] == 1


def test_a_gap_clears_the_book_when_it_is_known(store):
    back = 200 + GAP + 5 * SECOND
    rows = deltas((200, 11, True, 98, 1), (back, 12, True, 97, 2), (back + 1, 13, True, 96, 2))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [
        *CLEAR_AND_LEVELS,
        (200, 1, 98, 1),
        (200 + GAP, 0, 0, 0),
        (back, 1, 97, 2),
        (back + 1, 1, 96, 2),
    ]
    assert tape.stats["gaps"] == 1


def test_a_gap_on_the_collectors_side_alone(store):
    """Messages that piled up: by the exchange's clock there was hardly a pause."""
    rows = deltas((200, 11, True, 98, 1), (201 + GAP, 12, True, 97, 2, 300))
    fill(store, rows, SEED)
    assert events(load_tape(store, FOO).deltas)[4:] == [(300, 0, 0, 0), (300, 1, 97, 2)]


def test_after_a_gap_the_book_waits_for_the_next_snapshot(store):
    back = 200 + GAP + 5 * SECOND
    rows = deltas(
        (200, 11, True, 98, 1),
        (back, 19, True, 97, 2),
        (back + 1, 21, True, 96, 2),
        (back + 200, 22, True, 94, 2),
    )
    fill(store, rows, pa.concat_tables([SEED, seed_at(back + 100, 20)]))
    tape = load_tape(store, FOO)
    assert events(tape.deltas)[4:] == [
        (200 + GAP, 0, 0, 0),
        *book_at(back + 100),
        (back + 100, 1, 96, 2),
        (back + 200, 1, 94, 2),
    ]
    assert tape.stats["gaps"] == tape.stats["deltas_before_snapshot"] == 1


def test_a_snapshot_within_a_pause_of_the_deltas(store):
    """Both are signs of life: twice eight minutes are no gap."""
    half = 480 * SECOND
    fill(
        store,
        deltas((200, 11, True, 98, 1), (200 + 2 * half, 22, True, 97, 2)),
        pa.concat_tables([SEED, seed_at(200 + half, 20)]),
    )
    tape = load_tape(store, FOO)
    assert events(tape.deltas)[4:] == [*book_at(200 + half), (200 + 2 * half, 1, 97, 2)]
    assert tape.stats["gaps"] == 0


NONE = -T0  # origin_time 0


def test_rows_without_exchange_time_within_the_stream_are_a_snapshot(store):
    rows = deltas(
        (100, 8, True, 99, 1, 107),
        (200, 11, True, 98, 1, 207),  # newer than the snapshot, received before it
        (300, 10, True, 95, 1, NONE),
        (300, 10, False, 105, 1, NONE),
        (400, 12, True, 96, 2, 407),
        (500, 13, True, 96, 0, NONE),  # one side, a delete: a delta that lacks its time
    )
    fill(store, rows)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [
        *book_at(307),
        (307, 1, 98, 1),
        (407, 1, 96, 2),
        (507, 1, 96, 0),
    ]
    assert tape.seeded
    assert tape.stats["snapshots"] == tape.stats["snapshots_in_stream"] == 1
    assert tape.stats["delta_times_missing"] == 2


def test_a_second_snapshot_within_the_stream_forgets_old_levels(store):
    rows = deltas(
        (200, 11, True, 98, 1),
        (300, 20, True, 95, 1, NONE),
        (300, 20, False, 105, 1, NONE),
        (400, 21, True, 96, 2),
    )
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas)[4:] == [*book_at(300), (400, 1, 96, 2)]


@pytest.mark.parametrize(
    "rows",
    [
        [(300, True, 95, 1), (300, True, 94, 1)],  # one side
        [(300, True, 95, 1), (300, False, 105, 0)],  # deletes
        [(300, True, 95, 1), (300, False, 95, 1)],  # crossed
        [(300, True, 95, 1), (301, False, 105, 1)],  # two messages
    ],
)
def test_what_is_no_snapshot_within_the_stream(store, rows):
    known = (200, 11, True, 98, 1)
    fill(store, deltas(known, *((row[0], 12, *row[1:], NONE) for row in rows)), SEED)
    tape = load_tape(store, FOO)
    assert tape.stats["snapshots_in_stream"] == 0
    assert events(tape.deltas)[4:] == [(row[0], 1 if row[1] else -1, *row[2:]) for row in rows]


def test_a_feed_without_exchange_times_holds_no_snapshots(store):
    rows = deltas((300, 10, True, 95, 1, NONE), (300, 10, False, 105, 1, NONE))
    fill(store, rows)
    tape = load_tape(store, FOO)
    assert not tape.seeded
    assert events(tape.deltas) == [(300, 1, 95, 1), (300, -1, 105, 1)]


def test_levels_beyond_32_bit_ticks_are_left_out(store):
    far = (2**31) * FOO.tick_size
    rows = deltas((200, 11, False, far, 1), (200, 11, True, 99, 3), (300, 12, False, far, 0))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO)
    assert events(tape.deltas) == [*CLEAR_AND_LEVELS, (200, 1, 99, 3)]
    assert tape.stats["deltas_beyond_ticks"] == 2


def test_fingerprint_knows_data_span_and_steps(store):
    fill(store, deltas((200, 11, True, 98, 1)), SEED)
    prints = [
        load_tape(store, FOO).fingerprint,
        load_tape(store, FOO, end=T0 + 1_000).fingerprint,
        load_tape(store, FOO.model_copy(update={"lot_size": 0.125})).fingerprint,
    ]
    assert load_tape(store, FOO).fingerprint == prints[0]
    fill(store, deltas((300, 12, True, 98, 1)))
    prints.append(load_tape(store, FOO).fingerprint)
    assert len(set(prints)) == 4


def test_a_span_without_a_book(store):
    fill(store, deltas((200, 11, True, 98, 1)), SEED)
    with pytest.raises(StoreError, match="no book of BINANCE FOO/USDT"):
        load_tape(store, FOO, start="2025-01-01")
    with pytest.raises(StoreError, match="no book of BINANCE FOO/USDT"):
        load_tape(store, FOO, end="2020-01-01")
    with pytest.raises(StoreError, match="no book_delta_v2"):
        load_tape(store, instrument("BINANCE", "BTC/USDT"))


def test_unknown_instrument_is_given_steps_from_the_store(store):
    fill(store, deltas((200, 11, True, 98.5, 0.5), (200, 11, True, 98, 0.75)))
    with pytest.raises(ConfigError, match=r"tick_size=0\.5, lot_size=0\.25"):
        find_instrument(store, *HERE)
    assert find_instrument(store, *HERE, tick_size=0.5, lot_size=0.25) == FOO


def test_a_market_of_our_own_comes_through_whole(tmp_path):
    from mrcore.market import SyntheticMarket
    from mrtrade.data.ingest import ingest
    from mrtrade.data.synthetic import write_lake

    run = SyntheticMarket(seed=3).run(n_deltas=20_000)
    write_lake(tmp_path / "lake", run)
    store = ParquetStore(tmp_path / "store")
    ingest(tmp_path / "lake", store)
    tape = load_tape(store, instrument("SYNTHETIC", "BTC/USDT"))
    assert tape.seeded
    assert len(tape.trades.time) == len(run.trades["price"])
    for at, name in enumerate(("side", "tick", "lots"), start=1):
        made = np.concatenate([[0], run.snapshot[name], run.deltas[name]])
        np.testing.assert_array_equal(tape.deltas[at], made)
        np.testing.assert_array_equal(tape.trades[at], run.trades[name])
    np.testing.assert_array_equal(tape.trades.time, run.trades["origin_time"])
    levels = len(run.snapshot["tick"])
    np.testing.assert_array_equal(tape.deltas.time[1 + levels :], run.deltas["origin_time"])
    assert tape.stats["delta_times_moved"] == tape.stats["delta_times_missing"] == 0


def test_local_times(store):
    """Received, later by one constant so that the smallest delay is the one asked for."""
    rows = deltas(
        (200, 8, True, 98, 1, 190),
        (300, 12, True, 97, 2, 340),  # 40 ns before it happened
        (310, 13, True, 97, 3, 300),  # its time is moved to 340
        (500, 14, True, 97, 4, NONE),
        (500 + 2 * GAP, 15, True, 97, 5),
    )
    seed = deltas((250, 10, True, 95, 1, NONE), (250, 10, False, 105, 1, NONE))
    fill(store, rows, seed, trades((260, "buy", 1, 101, 1), (700, "sell", 1, 99, 2)))
    tape = load_tape(store, FOO, base_latency_ns=5)
    assert (tape.deltas.time - T0).tolist() == [240] * 3 + [340, 340, 490, 490 + GAP, 500 + 2 * GAP]
    received = [250] * 3 + [300, 310, 500, 500 + GAP, 500 + 2 * GAP]
    assert (tape.deltas.local - T0 - 45).tolist() == received
    assert (tape.trades.local - T0 - 45).tolist() == [260, 700]
    assert tape.stats["local_shift_ns"] == 45
    plain = load_tape(store, FOO)
    for one, two in ((tape.deltas, plain.deltas), (tape.trades, plain.trades)):
        for ours, theirs in zip(one[:4], two, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_local_times_without_a_clock_behind_are_as_received(store):
    rows = deltas((200, 11, True, 98, 1, 190), (300, 12, True, 97, 2, 300))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO, base_latency_ns=5)
    assert (tape.deltas.local - T0).tolist() == [105] * 3 + [200, 305]
    assert tape.stats["local_shift_ns"] == 0


def test_local_times_never_fall_and_are_never_early(store):
    """A start has a clock correction of its own; a book carried to it is known before it."""
    rows = deltas((150, 11, True, 98, 1, 950), (200, 12, True, 97, 1), (300, 13, True, 96, 2, 290))
    fill(store, rows, SEED)
    tape = load_tape(store, FOO, start=T0 + 180, base_latency_ns=1)
    assert (tape.deltas.time - T0).tolist() == [950] * 4 + [950, 950]
    assert (tape.deltas.local - T0).tolist() == [951] * 6
    assert tape.stats["local_shift_ns"] == 0
