import numpy as np

from . import twin
from .mean_reversion import ar1

YEAR_S = 365 * 86400


def bar_s(bars):
    return bars.index.to_series().diff().dt.total_seconds()


def z(x, n, of=None):
    return ((x if of is None else of) - x.rolling(n).mean()) / x.rolling(n).std(ddof=0)


@twin("funding_bps")
def funding_bps(bars, n):
    return bars["funding_rate"] * 1e4


@twin("funding_settled_bps")
def funding_settled_bps(bars, n):
    return bars["funding_settled"] * 1e4


@twin("funding_change_bps")
def funding_change_bps(bars, n):
    return (bars["funding_rate"] - bars["funding_settled"]) * 1e4


@twin("funding_annual")
def funding_annual(bars, n):
    return bars["funding_rate"] * YEAR_S / bars["funding_interval_s"]


@twin("funding_z")
def funding_z(bars, n):
    return z(bars["funding_settled"], n)


@twin("funding_surprise_z")
def funding_surprise_z(bars, n):
    return z(bars["funding_settled"], n, bars["funding_rate"])


@twin("funding_paid_bps")
def funding_paid_bps(bars, n):
    periods = bar_s(bars) / bars["funding_interval_s"]
    return 1e4 * (bars["funding_settled"] * periods).rolling(n).sum()


@twin("funding_due_s")
def funding_due_s(bars, n):
    return bars["funding_due_s"]


@twin("funding_due_share")
def funding_due_share(bars, n):
    return bars["funding_due_s"] / bars["funding_interval_s"]


@twin("pre_funding_pressure")
def pre_funding_pressure(bars, n):
    return -1e4 * bars["funding_rate"] / np.exp(bars["funding_due_s"] / 900)


def basis(bars):
    return 1e4 * (bars["mid"] - bars["index"]) / bars["index"]


@twin("basis_bps")
def basis_bps(bars, n):
    return basis(bars)


@twin("mark_basis_bps")
def mark_basis_bps(bars, n):
    return 1e4 * (bars["mark"] - bars["index"]) / bars["index"]


@twin("mark_dev_bps")
def mark_dev_bps(bars, n):
    return 1e4 * (bars["mid"] - bars["mark"]) / bars["mark"]


@twin("basis_z")
def basis_z(bars, n):
    return z(basis(bars), n)


@twin("basis_dev_bps")
def basis_dev_bps(bars, n):
    return basis(bars) - basis(bars).rolling(n).mean()


@twin("basis_half_life")
def basis_half_life(bars, n):
    fit, passed = ar1(bars.assign(mid=basis(bars)), n)
    return -np.log(2) / np.log(fit["phi"].where(passed)) * fit["seconds"]


@twin("basis_vol")
def basis_vol(bars, n):
    moved = (1e-4 * basis(bars)).diff() ** 2
    return np.sqrt(moved.rolling(n).mean() * YEAR_S / bar_s(bars).rolling(n).mean())


@twin("basis_change_bps")
def basis_change_bps(bars, n):
    return basis(bars).diff(n)


@twin("basis_annual")
def basis_annual(bars, n):
    return (bars["mid"] / bars["index"] - 1) * YEAR_S / bars["funding_interval_s"]


@twin("funding_parity_bps")
def funding_parity_bps(bars, n):
    return 1e4 * ((bars["mark"] - bars["index"]) / bars["index"] - bars["funding_rate"])


@twin("long_liq", "short_liq")
def liquidated(bars, n, stem):
    return bars[stem.replace("liq", "liquidations")].rolling(n).sum()


@twin("liq_imbalance")
def liq_imbalance(bars, n):
    sums = bars[["short_liquidations", "long_liquidations"]].rolling(n).sum()
    return -sums.diff(axis=1).iloc[:, 1] / sums.sum(axis=1, min_count=2)


@twin("liq_share")
def liq_share(bars, n):
    forced = bars["short_liquidations"] + bars["long_liquidations"]
    return forced.rolling(n).sum() / bars["volume"].rolling(n).sum()


@twin("liq_risk")
def liq_risk(bars, n):
    forced = (bars["short_liquidations"] + bars["long_liquidations"]).rolling(n).sum()
    log = np.log(bars["mid"])
    sd = log.diff().rolling(n).std(ddof=0) * n**0.5
    return 1e4 * forced / bars["open_interest"] * (1 + log.diff(n).abs() / sd)


@twin("oi_change_bps")
def oi_change_bps(bars, n):
    return 1e4 * np.log(bars["open_interest"] / bars["open_interest"].shift(n))


@twin("oi_z")
def oi_z(bars, n):
    return z(bars["open_interest"], n)


@twin("oi_price_bps")
def oi_price_bps(bars, n):
    return np.sign(np.log(bars["mid"]).diff(n)) * oi_change_bps(bars, n)


@twin("oi_price_corr")
def oi_price_corr(bars, n):
    changes = np.log(bars[["open_interest", "mid"]]).diff()
    return changes["open_interest"].rolling(n).corr(changes["mid"])
