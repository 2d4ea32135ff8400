import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrtrade.clock import NS_PER_DAY
from mrtrade.errors import DataError, RunError
from mrtrade.validation.expectation import fill_rate, load_expectation, slippage_bps
from mrtrade.validation.session_gates import course, judge_live, judge_paper
from mrtrade.validation.session_writer import SessionWriter
from mrtrade.validation.sessions import Incident, read_session

from . import make_session as make
from .make_session import CAPITAL, DAYS, HOUR, MARK, START, record


def verdict_of(folder, judge=judge_paper):
    return judge(read_session(folder), load_expectation(folder))


def by_name(verdict, start):
    (found,) = [one for one in verdict.criteria if one.name.startswith(start)]
    return found


# ---- format


def test_there_and_back(tmp_path):
    decisions = pd.DataFrame(
        {
            "time_ns": [START, START + NS_PER_DAY],
            "symbol": "BTC/USDT",
            "target": [1.0, 0.0],
            "mid": [60_000.0, math.nan],
            "forecast_bps": math.nan,
            "reason": ["entry", None],
        }
    )
    gap = Incident(START + 5, "gap", "cable", until_ns=START + 9)
    record(tmp_path, tables={"decisions": decisions}, incidents=[gap])
    found = read_session(tmp_path)
    assert len(found.quarantined) == 0
    pd.testing.assert_frame_equal(found.equity, make.equity())
    pd.testing.assert_frame_equal(found.features, make.features())
    assert found.decisions["target"].tolist() == [1.0, 0.0]
    assert found.incidents == (gap,)
    assert found.manifest == make.manifest(end_ns=START + DAYS * NS_PER_DAY)
    assert sorted(p.name for p in (tmp_path / "decisions").iterdir()) == [
        "2025-03-01.1.parquet",
        "2025-03-02.1.parquet",
    ]
    expected = load_expectation(tmp_path)
    np.testing.assert_array_equal(expected.daily, make.expectation().daily)
    frame = make.expectation().features
    np.testing.assert_array_equal(expected.features.to_numpy(), frame.to_numpy())
    assert (expected.features.index == frame.index).all()


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    marks = make.equity()
    SessionWriter(tmp_path, make.manifest()).append("equity", marks[:30])
    again = SessionWriter(tmp_path, make.manifest())
    again.append("equity", marks[30:60])
    pd.testing.assert_frame_equal(read_session(tmp_path).equity, marks[:60])
    assert read_session(tmp_path).end_ns == marks["time_ns"].iloc[59]
    with pytest.raises(DataError, match="times fall"):
        again.append("equity", marks[10:12])
    with pytest.raises(DataError, match="times fall"):
        SessionWriter(tmp_path, make.manifest()).append("equity", marks[10:12])


def test_what_runs_cannot_change_within_a_session(tmp_path):
    record(tmp_path, ended=False)
    with pytest.raises(RunError, match="capital"):
        SessionWriter(tmp_path, make.manifest(capital=5.0))
    SessionWriter(tmp_path, make.manifest()).finish(START + NS_PER_DAY)
    with pytest.raises(RunError, match="has ended"):
        SessionWriter(tmp_path, make.manifest())


def test_a_writer_refuses_what_a_reader_could_not_read(tmp_path):
    writer = SessionWriter(tmp_path, make.manifest())
    marks = make.equity()
    with pytest.raises(DataError, match=r"equity.flow: a column is missing"):
        writer.append("equity", marks.drop(columns="flow"))
    with pytest.raises(DataError, match="an unknown column"):
        writer.append("equity", marks.assign(mood=1.0))
    with pytest.raises(DataError, match="equity"):
        writer.append("equity", marks.assign(equity="much"))
    with pytest.raises(DataError, match="no such table"):
        writer.append("equities", marks)
    with pytest.raises(DataError, match="times fall"):
        writer.append("equity", marks.assign(time_ns=START - 1))
    writer.append("equity", marks[:0])
    assert not (tmp_path / "equity").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": 0.0}, "no price"),
        ({"price": math.nan}, "no price"),
        ({"quantity": -1.0}, "no quantity"),
        ({"side": 0}, "no side"),
        ({"fee": math.inf}, "no fee"),
        ({"decision_mid": -1.0}, "no mid"),
        ({"symbol": "ETH/USDT"}, "another symbol"),
        ({"fill_id": "f0"}, "a fill that was there before"),
        ({"order_id": ""}, "no order id"),
    ],
)
def test_rows_that_cannot_be_are_set_aside(tmp_path, changes, reason):
    _, fills = make.trades()
    fills = fills.reset_index(drop=True)
    for name, value in changes.items():
        fills.loc[7, name] = value
    fills["side"] = fills["side"].astype(np.int8)
    record(tmp_path, tables={"fills": fills})
    found = read_session(tmp_path)
    assert found.quarantined["reason"].tolist() == [reason]
    assert found.quarantined["table"].tolist() == ["fills"]
    assert len(found.fills) == len(fills) - 1
    one = by_name(judge_paper(found, make.expectation()), "Rows that cannot be")
    assert one.passed is False
    assert reason in one.note


def test_times_that_cannot_be_are_set_aside_and_do_not_drag_others(tmp_path):
    writer = record(tmp_path, ended=False)
    path = tmp_path / "equity" / "2025-03-02.1.parquet"
    table = pq.read_table(path).to_pandas()
    table.loc[3, "time_ns"] += 3 * NS_PER_DAY  # of another day
    table.loc[9, "time_ns"] -= 4 * MARK  # before the one above
    table.loc[12, "time_ns"] -= MARK  # that of the one above
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    found = read_session(tmp_path)
    assert found.quarantined[["row", "reason"]].values.tolist() == [
        [3, "not of the day of its file"],
        [9, "not later than the row above it"],
        [12, "not later than the row above it"],
    ]
    assert (np.diff(found.equity["time_ns"]) > 0).all()
    writer.finish(START + NS_PER_DAY)
    assert "outside of the run" in read_session(tmp_path).quarantined["reason"].tolist()


def test_half_a_line_is_set_aside(tmp_path):
    writer = record(tmp_path, incidents=make.drills())
    path = tmp_path / "incidents.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time_ns": 17')
    found = read_session(tmp_path)
    assert len(found.incidents) == 4
    assert found.quarantined["table"].tolist() == ["incidents"]
    writer.incident(Incident(START + 99, "note", "back"))
    found = read_session(tmp_path)
    assert len(found.incidents) == 5
    assert len(found.quarantined) == 1


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "party"}, "kind"),
        ({"kind": "gap"}, "until_ns"),
        ({"kind": "kill_switch", "switch": "big red"}, "switch"),
        ({"kind": "stage", "fraction": 0.0}, "fraction"),
        ({"kind": "note", "time_ns": 1.5}, "time_ns"),
    ],
)
def test_incidents_that_cannot_be(changes, match):
    with pytest.raises(DataError, match=match):
        Incident(**{"time_ns": START, **changes})


def test_files_of_another_form_are_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no recorded run"):
        read_session(tmp_path)
    record(tmp_path)
    about = json.loads((tmp_path / "manifest.json").read_text())
    path = tmp_path / "manifest.json"
    for text, match in [
        ("{", "no JSON"),
        (json.dumps({**about, "capital": -1.0}), "capital"),
        (json.dumps({**about, "mood": "good"}), "mood"),
        (json.dumps({**about, "mark_s": 601.0}), "mark_s"),
        (json.dumps({**about, "schema": "other/1"}), "schema"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            read_session(tmp_path)
    path.write_text(json.dumps(about))
    part = tmp_path / "fills" / "2025-03-02.1.parquet"
    table = pq.read_table(part)
    pq.write_table(table.drop_columns(["fee"]), part)
    with pytest.raises(DataError, match=r"fee: not the column.*double"):
        read_session(tmp_path)
    part.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no Parquet"):
        read_session(tmp_path)
    part.unlink()
    (tmp_path / "fills" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no part of a table"):
        read_session(tmp_path)
    (tmp_path / "expected" / "expected.json").unlink()
    with pytest.raises(DataError, match="no backtest to compare with"):
        load_expectation(tmp_path)


@pytest.mark.parametrize("missing", ["2025-03-02.1", "2025-03-02.2"])
def test_a_part_that_was_taken_out_is_an_error(tmp_path, missing):
    writer = SessionWriter(tmp_path, make.manifest())
    marks = make.equity()
    for begin in range(144, 264, 40):  # three parts of the second day
        writer.append("equity", marks[begin : begin + 40])
    read_session(tmp_path)
    (tmp_path / "equity" / f"{missing}.parquet").unlink()
    with pytest.raises(DataError, match=rf"a part before it is missing.*{missing}"):
        read_session(tmp_path)


def test_a_part_that_is_there_twice_counts_once(tmp_path):
    marks = make.equity()
    marks.loc[287, "flow"] = -5000.0  # the last mark of the second day
    marks.loc[287:, "equity"] -= 5000.0
    for name in ("once", "twice"):
        record(tmp_path / name, tables={"equity": marks})
    part = tmp_path / "twice" / "equity" / "2025-03-02.2.parquet"
    table = pq.read_table(part.with_name("2025-03-02.1.parquet"))
    pq.write_table(table.slice(143), part)
    once, twice = (read_session(tmp_path / name) for name in ("once", "twice"))
    assert course(twice).earned[-1] == course(once).earned[-1]
    assert len(twice.quarantined) == 1
    assert verdict_of(tmp_path / "twice").decision == "NO-GO"


# ---- gate 2


def test_a_run_like_its_backtest_passes(tmp_path):
    record(tmp_path)
    verdict = verdict_of(tmp_path)
    assert verdict.decision == "GO", verdict.rows()
    assert by_name(verdict, "Days").measured == DAYS
    assert by_name(verdict, "Filled orders").measured == 120
    assert by_name(verdict, "Slippage").measured == pytest.approx(1.0)
    assert by_name(verdict, "Fill rate").measured == pytest.approx(1.0)
    assert by_name(verdict, "Uptime").measured == 100.0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"tables": {"equity": make.equity(days=20)}}, "Days"),
        ({"tables": {"equity": make.equity(mean=-0.004)}}, "Profit, not below"),
        ({"tables": {"equity": make.equity(mean=0.006)}}, "Profit, not above"),
        ({"tables": {"fills": make.trades(slippage_bps=3.2)[1]}}, "Slippage"),
        ({"tables": {"fills": make.trades()[1][::2]}}, "Fill rate"),
        ({"tables": {"fills": make.trades()[1][:99]}}, "Filled orders"),
        ({"tables": {"features": make.features(shift=1.0)}}, "Features that drifted"),
        ({"incidents": [Incident(START, "integrity_halt", "book crossed")]}, "Unexplained"),
        ({"incidents": [Incident(START, "gap", until_ns=START + 20 * HOUR)]}, "Uptime"),
    ],
)
def test_each_criterion_of_gate_2_can_fail(tmp_path, changes, name):
    record(tmp_path, **changes)
    verdict = verdict_of(tmp_path)
    assert verdict.decision == "NO-GO"
    assert by_name(verdict, name).passed is False


def test_a_halt_that_is_explained_is_none(tmp_path):
    record(tmp_path, incidents=[Incident(START, "integrity_halt", explained="their restart")])
    assert by_name(verdict_of(tmp_path), "Unexplained").passed is True


def test_a_hole_between_marks_counts_though_nobody_spoke_of_it(tmp_path):
    marks = make.equity()
    record(tmp_path, tables={"equity": marks.drop(index=range(600, 780))})
    one = by_name(verdict_of(tmp_path), "Uptime")
    assert one.passed is False
    assert one.measured == pytest.approx(100.0 * (1.0 - 181 / (make.MARKS_A_DAY * DAYS)))
    # The same hole told as a gap is down once.
    gap = Incident(START + 100 * HOUR, "gap", until_ns=START + 110 * HOUR)
    other = tmp_path / "other"
    record(other, tables={"equity": marks.drop(index=range(600, 780))}, incidents=[gap])
    assert by_name(verdict_of(other), "Uptime").measured == one.measured


def test_what_cannot_be_compared_is_not_judged(tmp_path):
    expected = make.expectation(
        daily=np.full(5, 0.001), slippage_bps=math.nan, fill_rate=math.nan, features=None
    )
    record(tmp_path, expected=expected)
    verdict = verdict_of(tmp_path)
    assert verdict.decision == "NOT JUDGED"
    assert {one.name for one in verdict.unjudged} == {
        "Profit, not below the backtest's band",
        "Profit, not above the backtest's band",
        "Slippage beyond the backtest's",
        "Fill rate, multiple of the backtest's",
        "Features that drifted",
    }


def test_a_run_that_has_just_begun(tmp_path):
    SessionWriter(tmp_path, make.manifest())
    make.expectation().save(tmp_path)
    verdict = verdict_of(tmp_path)
    assert verdict.decision == "NO-GO"  # no days, no trades
    assert by_name(verdict, "Uptime").passed is None


def test_fills_of_orders_that_nobody_sent_are_no_trades(tmp_path):
    orders, fills = make.trades()
    few = {"orders": orders[:100], "fills": fills}
    record(tmp_path, tables=few)
    one = by_name(verdict_of(tmp_path), "Filled orders")
    assert (one.measured, one.passed) == (50.0, False)


def test_features_that_the_backtest_lacks_are_not_taken_for_steady(tmp_path):
    names = tuple(f"f{n}" for n in range(5))
    steady = make.features()["zscore_300"].to_numpy()
    seen = make.features()[["time_ns", "symbol"]].assign(**dict.fromkeys(names, steady))
    frame = make.expectation().features.iloc[:, :1].set_axis(names[:1], axis=1)
    expected = make.expectation(features=frame)
    record(tmp_path, features=names, tables={"features": seen}, expected=expected)
    one = by_name(verdict_of(tmp_path), "Features that drifted")
    assert one.passed is None
    assert "1 of 5 features" in one.note


def test_a_backtest_that_was_changed_afterwards_is_refused(tmp_path):
    record(tmp_path)
    place = tmp_path / "expected" / "expected.json"
    about = json.loads(place.read_text())
    assert load_expectation(tmp_path).sha256() == make.expectation().sha256()
    for name, value in [("daily", about["daily"][:-1]), ("slippage_bps", 9.0), ("fill_rate", 0.1)]:
        place.write_text(json.dumps({**about, name: value}))
        with pytest.raises(DataError, match="not what was kept of it"):
            verdict_of(tmp_path)
    for name, value in [("slippage_bps", math.inf), ("fill_rate", 1.5), ("daily", [math.nan])]:
        place.write_text(json.dumps({**about, name: value}))
        with pytest.raises(DataError):
            load_expectation(tmp_path)
    place.write_text(json.dumps(about))
    features = make.expectation().features
    make.expectation(features=features * 1.001).save(tmp_path)
    with pytest.raises(DataError, match="not what was kept of it"):
        verdict_of(tmp_path)
    make.expectation(features=features.set_axis(["zscore_300", "ofi_21"], axis=1)).save(tmp_path)
    with pytest.raises(DataError, match="not what was kept of it"):
        verdict_of(tmp_path)
    (tmp_path / "expected" / "features.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no features of a backtest"):
        load_expectation(tmp_path)


@pytest.mark.parametrize(("unknown", "passed"), [(60, True), (61, None)])
def test_slippage_of_few_fills_is_not_that_of_all(tmp_path, unknown, passed):
    fills = make.trades()[1].reset_index(drop=True)  # 120 of them
    fills.loc[: unknown - 1, "decision_mid"] = math.nan
    record(tmp_path, tables={"fills": fills})
    one = by_name(verdict_of(tmp_path), "Slippage")
    assert one.passed is passed
    assert passed or "59 of 120 fills" in one.note


def test_little_slippage_is_judged_by_difference(tmp_path):
    record(tmp_path, expected=make.expectation(slippage_bps=-1.0))
    one = by_name(verdict_of(tmp_path), "Slippage beyond")
    assert one.measured == pytest.approx(3.0)
    assert one.passed is False


def test_money_paid_in_is_no_profit_and_a_stage_is_the_measure(tmp_path):
    marks = pd.DataFrame(
        {
            "time_ns": START + np.arange(4, dtype=np.int64) * NS_PER_DAY,
            "equity": [1000.0, 1010.0, 6010.0, 5960.0],
            "exposure": 0.0,
            "flow": [0.0, 0.0, 5000.0, 0.0],
        }
    )
    stage = Incident(START + NS_PER_DAY, "stage", fraction=0.05)
    record(tmp_path, tables={"equity": marks}, fraction=0.01, incidents=[stage])
    found = course(read_session(tmp_path))
    np.testing.assert_allclose(found.earned, [0.0, 0.01, 0.01, 0.0])
    assert found.drawdown == pytest.approx(0.01)
    assert found.days == 3


def test_the_gate_asks_for_its_own_stage_and_its_own_backtest(tmp_path):
    record(tmp_path)
    session = read_session(tmp_path)
    with pytest.raises(DataError, match="gate 3 is for another stage"):
        judge_live(session, make.expectation())
    with pytest.raises(DataError, match="another backtest"):
        judge_paper(session, make.expectation(source="a better one"))


# ---- gate 3


def live(folder, **changes):
    content = {"stage": "live", "fraction": 0.01, "incidents": make.drills()}
    record(folder, **{**content, **changes})
    return verdict_of(folder, judge_live)


def stage(days, fraction):
    return Incident(START + days * NS_PER_DAY, "stage", fraction=fraction)


def test_a_live_run_passes(tmp_path):
    verdict = live(tmp_path)
    assert verdict.decision == "GO", verdict.rows()
    assert by_name(verdict, "Largest exposure").measured == pytest.approx(0.5)


def test_drawdown_is_of_the_capital_at_its_stage(tmp_path):
    marks = make.equity(fraction=0.01)
    marks.loc[500:502, "equity"] -= 0.25 * 0.01 * CAPITAL
    one = by_name(live(tmp_path, tables={"equity": marks}), "Deepest drawdown")
    assert one.measured > 25.0
    assert one.passed is False


def test_a_switch_that_was_not_tried_or_did_not_work(tmp_path):
    one = by_name(live(tmp_path / "a", incidents=make.drills()[:3]), "Kill switches")
    assert (one.measured, one.passed) == (3.0, False)
    assert one.note == "not shown to work: slippage"
    failed = Incident(START + 9 * HOUR, "kill_switch", switch="drift", worked=False)
    one = by_name(live(tmp_path / "b", incidents=[*make.drills(), failed]), "Kill switches")
    assert one.note == "not shown to work: drift"


@pytest.mark.parametrize(
    ("first", "steps", "wrong"),
    [
        (0.01, [], 0),
        (0.05, [], 1),
        (0.01, [stage(7, 0.05), stage(14, 0.10), stage(21, 0.15)], 0),
        (0.01, [stage(6, 0.05)], 1),
        (0.01, [stage(7, 0.10)], 1),
        (0.01, [stage(7, 0.05), stage(14, 0.2), stage(15, 0.25)], 2),
        (0.01, [stage(7, 0.05), stage(8, 0.01), stage(14, 0.05)], 0),
    ],
)
def test_steps_of_size(tmp_path, first, steps, wrong):
    verdict = live(tmp_path, fraction=first, incidents=[*make.drills(), *steps])
    assert by_name(verdict, "Steps of size").measured == wrong


def test_exposure_beyond_its_stage(tmp_path):
    marks = make.equity(fraction=0.01)
    marks.loc[100, "exposure"] = 0.011 * CAPITAL
    one = by_name(live(tmp_path, tables={"equity": marks}), "Largest exposure")
    assert one.passed is False
    assert one.measured == pytest.approx(1.1)


# ---- measures


def test_slippage_and_fill_rate_by_hand():
    fills = pd.DataFrame(
        {
            "order_id": ["a", "b", "c"],
            "side": [1, -1, 1],
            "price": [100.1, 99.9, 50.0],
            "quantity": [1.0, 2.0, 9.0],
            "decision_mid": [100.0, 100.0, math.nan],
        }
    )
    assert slippage_bps(fills) == pytest.approx(10.0)
    orders = pd.DataFrame({"order_id": list("abcd"), "event": "submitted"})
    assert fill_rate(orders, fills) == 0.75
    assert math.isnan(fill_rate(orders[:0], fills))
    assert math.isnan(slippage_bps(fills[2:]))
