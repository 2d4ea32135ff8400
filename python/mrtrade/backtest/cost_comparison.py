"""What the simulated fills of a run cost, beside what the cost model expects of the same orders.

Both count from the mid at the decision, in basis points of the notional there, > 0 paid. Of a fill:

simulated
    fee + spread (price against the mid just before the fill) + slippage (that mid against the
    decision's), as the cost waterfall has them; of a maker's fill also the mark-out: how far the
    mid went against it within some seconds.
model
    `DynamicTransactionCostModel` for the whole order that the fill is part of, in the state of the
    market at the last bar known when the order was sent; its patience is the run's time-out. A
    maker's fill is taken as filled (probability 1). A taker's fill had waited in vain if an order
    just before it, to the same side, rested and was not filled: then what waiting cost is in it.

Net profit charged by the model is gross - what the model expects - funding. Gross marks every
fill's position at what the mid did afterwards; so mark-outs are in it, and adverse selection is not
charged once more. The recorded market did not react to the run's own orders: what the model expects
as permanent impact has nothing beside it in the simulation.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import NS_PER_SECOND, to_ns
from mrtrade.config import BacktestConfig, load_config
from mrtrade.errors import RunError
from mrtrade.execution.costs import PARTS, DynamicTransactionCostModel
from mrtrade.execution.market_state import market_of_bars
from mrtrade.instruments import BPS_PER_ONE, Contract, Instrument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mrtrade.backtest.result import Result

Floats = npt.NDArray[np.float64]

BY_MODEL = "Net PnL by the cost model [settlement]"
"""Row of the stats that a run with ``transaction_costs.model: dynamic`` has beside the others."""

SIMULATED = ("fee_bps", "sim_spread_bps", "slippage_bps", "markout_bps")
SIZES = ("small", "middle", "large")
ROLES = (("maker", True), ("taker", False))

PAIRS = (
    ("commission", "fee_bps", ("commission_bps",)),
    ("spread and book", "sim_spread_bps", ("spread_bps", "temporary_impact_bps")),
    ("until the fill", "slippage_bps", ("opportunity_bps",)),
    ("after the fill", "markout_bps", ("adverse_selection_bps", "permanent_impact_bps")),
)
"""What of the simulation stands beside which parts of the model."""


@dataclass(frozen=True, eq=False)
class CostComparison:
    """Costs of a run's fills by simulation and by the model.

    Attributes
    ----------
    fills : DataFrame
        One row a fill: ``time, order_id, side, is_maker, notional`` (settlement currency, at the
        decision's mid), ``order_notional`` (quote units), the parts of either cost (`SIMULATED`,
        `mrtrade.execution.costs.PARTS`), ``simulated_bps`` and ``model_bps``. NaN where not known.
    table : DataFrame
        By ``role`` (maker, taker) and ``size`` (thirds of the orders; all): ``orders``, ``fills``,
        and of those with both costs (``both``) the ``simulated`` and ``model`` mean and median,
        ``bias`` (mean of model less simulated) and ``rmse``, basis points.
    net_simulated, net_model : float
        Net profit by the simulated fills, and charged by the model; settlement currency.
    not_estimated : int
        Fills for which the model has no estimate; ``net_model`` charges what they cost by
        simulation.
    markout_s : float
        Seconds after a fill at which its mark-out is taken.
    currency : str
    """

    fills: pd.DataFrame
    table: pd.DataFrame
    net_simulated: float
    net_model: float
    not_estimated: int
    markout_s: float
    currency: str

    def parts(self) -> pd.DataFrame:
        """Return the mean parts of both costs: ``role, part, simulated, model``, basis points.

        Of the fills that have both costs. What the mid does after a taker's fill is the signal's
        affair, not a cost: NaN.
        """
        rows = []
        for role, maker in ROLES:
            ours = self.fills[self.fills["is_maker"] == maker]
            some = ours.dropna(subset=["simulated_bps", "model_bps"])
            for part, of_fills, of_model in PAIRS if len(some) else ():
                told = maker or of_fills != "markout_bps"
                rows.append(
                    {
                        "role": role,
                        "part": part,
                        "simulated": some[of_fills].mean() if told else math.nan,
                        "model": some[list(of_model)].sum(axis=1).mean(),
                    }
                )
        return pd.DataFrame(rows, columns=["role", "part", "simulated", "model"])

    def to_dict(self) -> dict[str, Any]:
        """Return tables and sums for JSON; what is not known is None."""
        return {
            "unit": "bps",
            "currency": self.currency,
            "net_simulated": self.net_simulated,
            "net_model": self.net_model,
            "fills": len(self.fills),
            "not_estimated": self.not_estimated,
            "markout_s": self.markout_s,
            "by_role": _records(self.table),
            "parts": _records(self.parts()),
        }

    def draw(self) -> bytes:
        """Draw both costs of each fill, and their parts by role; returns a PNG."""
        from mrtrade.execution.plots import png

        return png(lambda figure: _draw(figure, self), (10.4, 4.2))


def compare(
    result: Result,
    model: DynamicTransactionCostModel | None = None,
    *,
    bars: pd.DataFrame | None = None,
) -> CostComparison:
    """Compare what a finished run's fills cost with what the cost model expects.

    Parameters
    ----------
    result : Result
    model : DynamicTransactionCostModel, optional
        By default as the run's configuration makes it, with the fees that the run began with.
    bars : DataFrame, optional
        The run's bars; by default made anew from its store.

    Returns
    -------
    CostComparison

    Raises
    ------
    RunError
        If the run has no fills.
    """
    if result.fills.empty:
        raise RunError("the run has no fills, so there is nothing to compare")
    config = load_config(result.manifest["config"])
    terms = result.instrument
    model = model or _model(config, terms)
    bars = _bars(config, result) if bars is None else bars
    fills = _simulated(result, bars, model.markout_s)
    fills = fills.join(_expected(result, fills, bars, model))
    charged = fills[list(PARTS)].sum(axis=1, skipna=False) - fills["adverse_selection_bps"]
    paid = fills[["fee_bps", "sim_spread_bps", "slippage_bps"]].sum(axis=1)
    unknown = charged.isna()
    cost = (charged.where(~unknown, paid) * fills["notional"]).to_numpy(np.float64) / BPS_PER_ONE
    return CostComparison(
        fills=fills,
        table=_table(fills),
        net_simulated=result.costs.net,
        net_model=result.costs.gross - math.fsum(cost) - result.costs.funding,
        not_estimated=int(unknown.sum()),
        markout_s=model.markout_s,
        currency=terms.currency,
    )


def compare_saved(folder: str | Path, *, calibration: str | Path | None = None) -> CostComparison:
    """Compare a saved run, see `compare`.

    Parameters
    ----------
    folder : path
        Of a run, as `mrtrade.backtest.save_run` made it; of one with two legs, that of a leg.
    calibration : path, optional
        Instead of what the run's configuration names.

    Raises
    ------
    RunError
        If it is no run, one of two legs, or has no fills.
    """
    from mrtrade.backtest.result import Result
    from mrtrade.backtest.runs import read_manifest

    manifest = read_manifest(folder)
    if legs := manifest["data"].get("legs"):
        raise RunError(
            "a run of two legs, each with costs of its own",
            file=folder,
            remedy=f"name one of its folders {' and '.join(legs)}",
        )
    result, config = Result.load(folder), load_config(manifest["config"])
    options = {} if calibration is None else {"calibration": calibration}
    return compare(result, _model(config, result.instrument, **options))


def tell_by_model(result: Result, bars: pd.DataFrame) -> None:
    """Add to a run's stats what it would have made, had it paid what the cost model expects."""
    if result.fills.empty:
        result.stats[BY_MODEL], result.notes[BY_MODEL] = None, "no fills"
        return
    compared = compare(result, bars=bars)
    result.stats[BY_MODEL] = compared.net_model
    if compared.not_estimated:
        result.notes[BY_MODEL] = (
            f"{compared.not_estimated} of {len(result.fills)} fills, for which the model lacks "
            "something, are charged what they cost by simulation"
        )


def _model(
    config: BacktestConfig, terms: Instrument, **options: Any
) -> DynamicTransactionCostModel:
    patience = {"patience_s": config.execution.timeout_s}
    return DynamicTransactionCostModel.of(terms, config.transaction_costs, **patience, **options)


def _bars(config: BacktestConfig, result: Result) -> pd.DataFrame:
    from mrtrade.backtest.scenes import find_terms, leg_bars, load_leg
    from mrtrade.data.stores import open_store

    with closing(open_store(config.store)) as store:
        tape = load_leg(config, store, find_terms(config, store))
        bars = leg_bars(config, store, tape)
    marks, mids = (
        result.equity["mid"].to_numpy(np.float64),
        bars["mid"].ffill().to_numpy(np.float64),
    )
    same = np.array_equal(to_ns(bars.index), to_ns(result.equity.index))
    if not (same and np.allclose(mids, marks, rtol=1e-9, atol=0.0, equal_nan=True)):
        raise RunError(
            f"the store {config.store} does not hold what the run was made from any more",
            remedy="run the backtest again",
        )
    return bars


def _simulated(result: Result, bars: pd.DataFrame, markout_s: float) -> pd.DataFrame:
    """Return the fills with what they cost by simulation."""
    fills, contract = result.fills, result.instrument.contract
    price = fills["price"].to_numpy(np.float64)
    mid = fills["mid"].to_numpy(np.float64)
    mid = np.where(np.isnan(mid), price, mid)  # as the waterfall has it
    decision = fills["decision_mid"].to_numpy(np.float64)
    decision = np.where(np.isnan(decision), mid, decision)
    quantity = fills["quantity"].to_numpy(np.float64)
    signed = fills["side"].to_numpy(np.float64) * quantity
    notional = quantity * contract.notional(decision)
    later = _mid_after(result, bars, markout_s)
    scale = BPS_PER_ONE / notional
    out = fills[["time", "order_id", "side", "is_maker"]].copy()
    out["notional"] = notional
    size = pd.Series(quantity * _quote(contract, decision), index=fills.index)
    out["order_notional"] = size.groupby(fills["order_id"]).transform("sum")
    out["fee_bps"] = fills["fee"].to_numpy(np.float64) * scale
    out["sim_spread_bps"] = signed * contract.change(mid, price) * scale
    out["slippage_bps"] = signed * contract.change(decision, mid) * scale
    out["markout_bps"] = -signed * contract.change(mid, later) * scale
    maker = out["is_maker"].to_numpy(bool)
    shortfall = out["fee_bps"] + out["sim_spread_bps"] + out["slippage_bps"]
    out["simulated_bps"] = shortfall + out["markout_bps"].where(maker, 0.0)
    return out


def _quote(contract: Contract, price: Floats) -> Floats:
    """Quote units of a size unit."""
    return np.asarray(contract.multiplier * (np.ones_like(price) if contract.inverse else price))


def _mid_after(result: Result, bars: pd.DataFrame, seconds: float) -> Floats:
    """Mid some seconds after each fill, on the local clock; NaN beyond the last bar."""
    times, mids = to_ns(bars.index), bars["mid"].to_numpy(np.float64)
    feed_ns = int(result.manifest["config"]["latency"]["feed_ms"] * 1e6)
    wanted = to_ns(result.fills["time"]) + feed_ns + int(seconds * NS_PER_SECOND)
    row = np.searchsorted(times, wanted, side="right") - 1
    return np.where((wanted <= times[-1]) & (row >= 0), mids[np.maximum(row, 0)], np.nan)


def _expected(
    result: Result,
    fills: pd.DataFrame,
    bars: pd.DataFrame,
    model: DynamicTransactionCostModel,
) -> pd.DataFrame:
    """Return what the model expects of each fill's order."""
    sent = result.orders.groupby("order_id")["time"].min().reindex(fills["order_id"])
    row = np.searchsorted(to_ns(bars.index), to_ns(sent), side="right") - 1
    state = market_of_bars(bars, contract=result.instrument.contract)
    known = {
        name: np.where(row >= 0, np.asarray(values)[np.maximum(row, 0)], np.nan)
        for name, values in state.items()
    }
    size = fills["order_notional"].to_numpy(np.float64)
    maker = fills["is_maker"].to_numpy(bool)
    symbol = result.instrument.symbol
    made = model.cost_bps(size, 0.0, {**known, "fill_probability": 1.0}, symbol=symbol)
    taken = model.cost_bps(size, 1.0, known, symbol=symbol)
    missed = model.cost_bps(size, 0.0, {**known, "fill_probability": 0.0}, symbol=symbol)
    waited = _waited(result.orders).reindex(fills["order_id"]).to_numpy(bool)
    taken["opportunity_bps"] = np.where(waited, missed["opportunity_bps"], 0.0)
    parts = {name: np.where(maker, made[name], taken[name]) for name in PARTS}
    out = pd.DataFrame(parts, index=fills.index)
    out["model_bps"] = out.sum(axis=1, skipna=False)
    return out


def _waited(orders: pd.DataFrame) -> pd.Series[bool]:
    """Whether an order follows one to the same side that rested and was not filled; by its id.

    There may be attempts between the two that took nothing.
    """
    last = orders.groupby("order_id")[["side", "tif", "event"]].last()
    goes_on = (last["side"].shift(1) == last["side"]) & (last["event"].shift(1) != "filled")
    rested = (last["tif"] == "post_only").astype(np.int64)
    return rested.groupby((~goes_on).cumsum()).cumsum() > rested


def _table(fills: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison by role and size of the order."""
    rows: list[dict[str, Any]] = []
    third = pd.Series(SIZES[0], index=fills.index, dtype=object)
    low, high = fills["order_notional"].quantile([1.0 / 3.0, 2.0 / 3.0])
    third[fills["order_notional"] > low] = SIZES[1]
    third[fills["order_notional"] > high] = SIZES[2]
    for role, maker in ROLES:
        ours = fills[fills["is_maker"] == maker]
        for size in (*SIZES, "all"):
            some = ours if size == "all" else ours[third[ours.index] == size]
            counts = {"orders": some["order_id"].nunique(), "fills": len(some)}
            rows.append({"role": role, "size": size, **counts, **_measures(some)})
    return pd.DataFrame(rows)


def _measures(fills: pd.DataFrame) -> dict[str, float]:
    simulated, model = fills["simulated_bps"], fills["model_bps"]
    both = simulated.notna() & model.notna()
    simulated, model = simulated[both], model[both]
    error = model - simulated
    return {
        "both": int(both.sum()),
        "simulated_mean": float(simulated.mean()),
        "simulated_median": float(simulated.median()),
        "model_mean": float(model.mean()),
        "model_median": float(model.median()),
        "bias": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.to_dict("records")
    return [{str(k): None if v != v else v for k, v in row.items()} for row in rows]


def _draw(figure: Figure, comparison: CostComparison) -> None:
    colours = {"maker": "#1f9d55", "taker": "#2f7ed8"}
    points, parts = figure.subplots(1, 2)
    fills = comparison.fills
    for role, maker in ROLES:
        some = fills[fills["is_maker"] == maker].dropna(subset=["simulated_bps", "model_bps"])
        points.plot(some["model_bps"], some["simulated_bps"], ".", color=colours[role], ms=4,
                    alpha=0.6, label=f"{role}, {len(some):,} fills")  # fmt: skip
    points.axline((0.0, 0.0), slope=1.0, color="#8a94a6", lw=0.8)
    points.set(xlabel="expected by the model, bps", ylabel="simulated, bps")
    points.set_title("Each fill; on the line they agree")
    points.legend()
    _draw_parts(parts, comparison.parts())


def _draw_parts(axes: Any, means: pd.DataFrame) -> None:
    """Draw the mean parts of both costs, by role."""
    names = [name for name, _, _ in PAIRS]
    place = np.arange(len(names), dtype=np.float64)
    shades = {"maker": ("#1f9d55", "#a9dcc0"), "taker": ("#2f7ed8", "#b3d3f3")}
    for at, (role, _) in enumerate(ROLES):
        some = means[means["role"] == role]
        if some.empty:
            continue
        left = place + (at - 0.5) * 0.4
        axes.bar(left - 0.1, some["simulated"], 0.19, color=shades[role][0],
                 label=f"{role}, simulated")  # fmt: skip
        axes.bar(left + 0.1, some["model"], 0.19, color=shades[role][1], label=f"{role}, model")
    axes.axhline(0.0, color="#8a94a6", lw=0.8)
    axes.set_xticks(place, [name.replace(" and ", " and\n") for name in names])
    axes.set(ylabel="mean, bps")
    axes.set_title("Where the two differ")
    axes.legend()
