from mrtrade.data.bench import bench, synthetic_day

from .places import at


def check(store):
    rows = synthetic_day(3_000)
    store.write("book_delta_v2", "MRTRADE_BENCH", "ETH/USDT", rows)
    told = []
    timings = {one.name: one for one in bench(store, 3_000, 2, told.append)}
    assert list(timings) == [
        "write a day",
        "replace it",
        "read it to numpy",
        "read 5 minutes",
        "verify it",
    ]
    assert timings["write a day"].rows == timings["read it to numpy"].rows == 3_000
    assert 0 < timings["read 5 minutes"].rows < 100
    assert all(one.wall_s > 0 for one in timings.values())
    assert told[0] == "write a day, 1 of 2"
    # Its own days are gone, another series is as it was.
    assert store.series() == [("book_delta_v2", "MRTRADE_BENCH", "ETH/USDT")]
    assert store.read("book_delta_v2", "MRTRADE_BENCH", "ETH/USDT").equals(rows)
    return timings


@at("parquet", "plain")
def test_a_store_is_timed_and_left_as_it_was(place):
    timings = check(place.open())
    counted = [one.server_s for one in timings.values()]
    if place.kind == "parquet":
        assert counted == [None] * 5
    else:  # in steps of 10 ms, so that one short operation may show none
        assert all(seconds >= 0 for seconds in counted)


@at("plain")
def test_the_cpu_of_a_server_is_counted(place):
    timings = bench(place.open(), 50_000, 1)
    assert sum(one.server_s for one in timings) > 0
