"""What each oracle is asked, in its own language: the setup, then one expression a value."""

from dataclasses import dataclass
from typing import Any

WINDOWS = (60, 300)
ROWS = [300, 333, 640, 900, 1024]  # last rows of the windows over `path`
BAR_ROWS = [300, 301, 310, 319]
MFE = "commit 9622b6c of 2021-12-16"


@dataclass(frozen=True)
class Topic:
    """One question to one oracle; `inputs` are columns ("series/name") or lists of numbers."""

    name: str
    what: str
    oracle: str
    package: str
    inputs: dict[str, Any]
    setup: str
    call: dict[str, str]
    language: str = "Python"
    modules: tuple[str, ...] = ()


def by_window(calls: dict[str, str], windows: tuple[int, ...] = WINDOWS) -> dict[str, str]:
    """Each call for each window; a call says ``{n}`` for the window."""
    return {
        f"{name}_{n}": call.replace("{n}", str(n)) for n in windows for name, call in calls.items()
    }


# a window of n values that ends at row t, in the two languages that ask of windows
PRICES = "def over(f, x, n): return [f(x[t - n + 1 : t + 1]) for t in rows]\n"
R_PRICES = "over <- function(f, x, n) sapply(rows, function(t) f(x[(t - n + 2):(t + 1)]))\n"
M_PRICES = "over = @(f, x, n) arrayfun(@(t) f(x(t - n + 2 : t + 1)), rows);\n"

TALIB = {
    "rsi_14": "talib.RSI({x}close, 14)",
    "adx_14": "talib.ADX({x}high, {x}low, {x}close, 14)",
    "plus_di_14": "talib.PLUS_DI({x}high, {x}low, {x}close, 14)",
    "minus_di_14": "talib.MINUS_DI({x}high, {x}low, {x}close, 14)",
    "bb_upper_20": "talib.BBANDS({x}close, 20, 2.0, 2.0)[0]",
    "bb_lower_20": "talib.BBANDS({x}close, 20, 2.0, 2.0)[2]",
    "ema_20": "talib.EMA({x}close, 20)",
}
# a window of its own for each bar: TTR's running sums leave a residue, and NaN, in still bars
RANGE = {
    f"{name}_20": f'over("{calc}")'
    for name, calc in (
        ("parkinson", "parkinson"),
        ("garman_klass", "garman.klass"),
        ("rogers_satchell", "rogers.satchell"),
        ("yang_zhang", "yang.zhang"),
    )
}
OHLC = ("open", "high", "low", "close")
OHLC_R = """ohlc <- cbind(Open = open, High = high, Low = low, Close = close)
over <- function(calc) c(rep(NA, 20), sapply(21:nrow(ohlc), function(t)
  TTR::volatility(ohlc[(t - 20):t, ], n = 20, calc = calc, N = 1)[21]))"""
BNS = "BNSjumpTest(r, type = {type}, logTransform = {log}, max = {max})$ztest"


def bars(*names: str, series: str = "bars") -> dict[str, str]:
    return {name: f"{series}/{name}" for name in names}


TOPICS = [
    Topic(
        "talib",
        "RSI, ADX and its directional indicators, Bollinger bands, EMA over one-minute bars",
        "TA-Lib",
        "TA-Lib",
        bars("high", "low", "close"),
        "import talib",
        {name: call.format(x="") for name, call in TALIB.items()},
        modules=("talib",),
    ),
    Topic(
        "talib_flat",
        "The same over bars that stand still at the start, in the middle and every third bar. "
        "TA-Lib gives RSI 0 where nothing has moved yet, and its Bollinger deviation is 0 there",
        "TA-Lib",
        "TA-Lib",
        bars("high", "low", "close", series="flat_bars"),
        "import talib",
        {name: call.format(x="") for name, call in TALIB.items()},
        modules=("talib",),
    ),
    Topic(
        "ranges",
        "Volatility a bar (a deviation, not a variance) by range, 20 bars",
        "TTR",
        "TTR",
        bars(*OHLC),
        OHLC_R,
        RANGE,
        "R",
    ),
    Topic(
        "ranges_flat",
        "The same over bars that stand still at times",
        "TTR",
        "TTR",
        bars(*OHLC, series="flat_bars"),
        OHLC_R,
        RANGE,
        "R",
    ),
    *(
        Topic(
            f"variance_ratio{suffix}",
            "Variance ratio of n returns (n + 1 log prices, mean removed) and its statistics: z1 "
            "homoskedastic, z2 robust; debiased, and `raw` without that" + note,
            "arch",
            "arch",
            {"price": f"path/{name}", "rows": ROWS},
            "from arch.unitroot import VarianceRatio\n"
            "def ask(n, q, robust, debiased): return [VarianceRatio(np.log(price[t - n : t + 1]), "
            "lags=q, trend='c', robust=robust, debiased=debiased) for t in rows]",
            {
                f"{key}_{q}_{n}": f"[x.{field} for x in ask({n}, {q}, {robust}, {debiased})]"
                for n in WINDOWS
                for q in (2, 4, 8, 16)
                for key, field, robust, debiased in (
                    ("vr", "vr", True, True),
                    ("z1", "stat", False, True),
                    ("z2", "stat", True, True),
                    ("raw", "vr", True, False),
                    ("raw_z2", "stat", True, False),
                )
            },
            modules=("arch",),
        )
        for suffix, name, note in (
            ("", "price", ""),
            ("_sticky", "sticky", "; three in ten prices repeat"),
        )
    ),
    Topic(
        "adf",
        "Dickey-Fuller t of n log prices, constant, 0 to 2 lagged changes, and MacKinnon's p",
        "statsmodels",
        "statsmodels",
        {"price": "path/price", "rows": ROWS},
        PRICES + "from statsmodels.tsa.stattools import adfuller\n"
        "def ask(n, lags, i): return over(lambda x: adfuller(np.log(x), maxlag=lags, "
        "regression='c', autolag=None, result_object=False)[i], price, n)",
        {
            f"{key}_{lags}_{n}": f"ask({n}, {lags}, {i})"
            for n in WINDOWS
            for lags in (0, 1, 2)
            for i, key in enumerate(("t", "p"))
        },
        modules=("statsmodels",),
    ),
    Topic(
        "half_life",
        "AR(1) with constant on n values of an Ornstein-Uhlenbeck spread: phi, its standard error "
        "(n - 3 degrees), t of phi - 1, level it reverts to, half-life -ln 2 / ln phi in rows; "
        "`adf_t` is the Dickey-Fuller t of the same window, `ar_phi` AutoReg's phi",
        "statsmodels",
        "statsmodels",
        {"value": "spread/value", "rows": [300, 333, 500, 640]},
        PRICES + "import statsmodels.api as sm\n"
        "from statsmodels.tsa.ar_model import AutoReg\n"
        "from statsmodels.tsa.stattools import adfuller\n"
        "def fit(x): return sm.OLS(x[1:], sm.add_constant(x[:-1])).fit()",
        by_window(
            {
                "phi": "over(lambda x: fit(x).params[1], value, {n})",
                "phi_se": "over(lambda x: fit(x).bse[1], value, {n})",
                "t": "over(lambda x: (fit(x).params[1] - 1) / fit(x).bse[1], value, {n})",
                "level": "over(lambda x: fit(x).params[0] / (1 - fit(x).params[1]), value, {n})",
                "half_life": "over(lambda x: -np.log(2) / np.log(fit(x).params[1]), value, {n})",
                "adf_t": "over(lambda x: adfuller(x, maxlag=0, regression='c', autolag=None, "
                "result_object=False)[0], value, {n})",
                "ar_phi": "over(lambda x: AutoReg(x, 1, trend='c').fit().params[1], value, {n})",
            }
        ),
        modules=("statsmodels",),
    ),
    Topic(
        "hurst",
        "Of n log returns (last row t), over boxes that do not overlap and start with the first: "
        "slope of DFA-1, log F at each box where all returns are asked (F: root of the mean over "
        "boxes of the mean squared residual of a line); slope of the rescaled range (deviation "
        "with ddof 1), as it is and with 0.5 + slope - slope expected by Anis, Lloyd and Peters",
        "nolds",
        "nolds",
        {"price": "path/price", "rows": ROWS},
        PRICES + "import nolds\n"
        "boxes = {60: [8, 10, 12, 15], 300: [8, 12, 18, 27, 40, 60, 75], "
        "1024: [8, 16, 32, 64, 128, 256]}\n"
        "r = np.r_[np.nan, np.diff(np.log(price))]\n"
        "def dfa(x, **more): return nolds.dfa(x, nvals=boxes[len(x)], overlap=False, order=1, "
        "fit_exp='poly', **more)\n"
        "def rs(x, **more): return nolds.hurst_rs(x, nvals=boxes[len(x)], fit='poly', **more)",
        {
            **by_window(
                {
                    "dfa": "over(dfa, r, {n})",
                    "rs": "over(lambda x: rs(x, corrected=True), r, {n})",
                    "rs_raw": "over(lambda x: rs(x, corrected=False), r, {n})",
                }
            ),
            "dfa_all": "dfa(r[1:])",
            "rs_all": "rs(r[1:], corrected=True)",
            "log_f_all": "dfa(r[1:], debug_data=True)[1][1]",
        },
        modules=("nolds",),
    ),
    Topic(
        "kyle",
        "Kyle (1985), one equilibrium a row: sigma_v 0.5, sigma_u 120, so lambda 0.5 / 240 = "
        "0.00208333: exact in `change`; in the surprise itself by regression over all rows "
        "(slope, its error, share of variance left, in theory one half); rolling slope and t of "
        "`noisy`, which holds other news too",
        "statsmodels",
        "statsmodels",
        {
            "surprise": "kyle/surprise",
            "flow": "kyle/flow",
            "change": "kyle/change",
            "noisy": "kyle/noisy",
            "rows": BAR_ROWS,
        },
        "import statsmodels.api as sm\n"
        "from statsmodels.regression.rolling import RollingOLS\n"
        "x = sm.add_constant(flow)\n"
        "whole = sm.OLS(surprise, x).fit()\n"
        "def roll(n): return RollingOLS(noisy, x, window=n).fit()",
        {
            "theory": "0.5 / (2 * 120.0)",
            "exact": "sm.OLS(change, x).fit().params[1]",
            "slope": "whole.params[1]",
            "slope_se": "whole.bse[1]",
            "variance_left": "whole.resid.var() / surprise.var()",
            **by_window({"lambda": "roll({n}).params[rows, 1]", "t": "roll({n}).tvalues[rows, 1]"}),
        },
        modules=("statsmodels",),
    ),
    Topic(
        "cross",
        "Log returns of two assets over n returns: correlation, covariance (ddof 1), beta of the "
        "peer on the first, with regression (constant) its last residual, its t; Spearman",
        "pandas",
        "pandas",
        {"close": "bars/close", "peer": "bars/peer_close", "rows": BAR_ROWS},
        "import pandas as pd, statsmodels.api as sm, scipy.stats\n"
        "from statsmodels.regression.rolling import RollingOLS\n"
        "a, b = (pd.Series(np.log(x)).diff() for x in (close, peer))\n"
        "def roll(n): return RollingOLS(b[1:], sm.add_constant(a[1:]), window=n).fit()",
        by_window(
            {
                "corr": "a.rolling({n}).corr(b)[rows]",
                "cov": "a.rolling({n}).cov(b)[rows]",
                "beta": "(a.rolling({n}).cov(b) / a.rolling({n}).var())[rows]",
                "ols_beta": "roll({n}).params[0].loc[rows]",
                "ols_t": "roll({n}).tvalues[0].loc[rows]",
                "residual": "(b - roll({n}).params['const'] - roll({n}).params[0] * a)[rows]",
                "spearman": "[scipy.stats.spearmanr(a[t - {n} + 1 : t + 1], "
                "b[t - {n} + 1 : t + 1]).statistic for t in rows]",
            }
        ),
        modules=("pandas", "statsmodels", "scipy"),
    ),
    *(
        Topic(
            f"shape{suffix}",
            "Of n log returns (last row t): skewness and excess kurtosis, plain and unbiased; "
            "share of the window not above its last (ties half), median and absolute deviation "
            "from it (no factor)" + note,
            "scipy",
            "scipy",
            {"price": f"path/{name}", "rows": ROWS},
            PRICES + "from scipy import stats\nr = np.r_[np.nan, np.diff(np.log(price))]",
            by_window(
                {
                    "skew": "over(stats.skew, r, {n})",
                    "skew_unbiased": "over(lambda x: stats.skew(x, bias=False), r, {n})",
                    "kurtosis": "over(stats.kurtosis, r, {n})",
                    "kurtosis_unbiased": "over(lambda x: stats.kurtosis(x, bias=False), r, {n})",
                    "rank_mean": "over(lambda x: stats.percentileofscore(x, x[-1], 'mean') / 100, "
                    "r, {n})",
                    "rank_weak": "over(lambda x: stats.percentileofscore(x, x[-1], 'weak') / 100, "
                    "r, {n})",
                    "median": "over(np.median, r, {n})",
                    "mad": "over(stats.median_abs_deviation, r, {n})",
                }
            ),
            modules=("scipy",),
        )
        for suffix, name, note in (
            ("", "price", ""),
            ("_sticky", "sticky", "; three in ten prices repeat"),
        )
    ),
    *(
        Topic(
            f"realized{suffix}",
            "Of n log returns (last row t): realised kernel with the non-flat-top Parzen weights "
            "at fixed bandwidths 10 and 30 (all returns in each autocovariance), realised "
            "variance, bipower variation as it is (pi / 2 sum) and times n / (n - 1), tripower "
            "quarticity as it is and times n / (n - 2)" + note,
            "MFE toolbox of Kevin Sheppard",
            MFE,
            {"price": f"path/{name}", "rows": ROWS},
            M_PRICES
            + """rows = rows'; lp = log(price); r = [NaN; diff(lp)];
opt = realized_options("Kernel"); opt.kernel = "nonflatparzen"; opt.endTreatment = "Jitter";
opt.maxBandwidth = []; opt.maxBandwidthPerc = [];
function v = kernel_at(x, opt, H)
  opt.bandwidth = H; v = realized_kernel_core(x, realized_kernel_weights(opt), opt); end
function v = pick(i, f, p, varargin)
  t = linspace(0, 1, numel(p))'; out = cell(1, 4);
  [out{:}] = f(p, t, "unit", "BusinessTime", 1, varargin{:}); v = out{i}; end""",
            by_window(
                {
                    "rv": "over(@(x) x' * x, r, {n})",
                    "kernel_10": "over(@(x) kernel_at(x, opt, 10), r, {n})",
                    "kernel_30": "over(@(x) kernel_at(x, opt, 30), r, {n})",
                    "bipower": "over(@(p) pick(1, @realized_bipower_variation, p), price, {n} + 1)",
                    "bipower_scaled": "over(@(p) pick(3, @realized_bipower_variation, p), price, "
                    "{n} + 1)",
                    "tripower": "over(@(p) pick(1, @realized_quarticity, p, 'Tripower'), price, "
                    "{n} + 1)",
                    "tripower_scaled": "over(@(p) pick(3, @realized_quarticity, p, 'Tripower'), "
                    "price, {n} + 1)",
                }
            ),
            "Octave",
        )
        for suffix, name, note in (
            ("", "price", ""),
            ("_noisy", "noisy", "; with noise, and a jump at row 580"),
            ("_sticky", "sticky", "; three in ten prices repeat"),
        )
    ),
    Topic(
        "kernel_bandwidth",
        "Bandwidth of the non-flat-top Parzen kernel of n returns, noise variance w and integrated "
        "quarticity: 3.5134 (w / sqrt(IQ))^(2/5) n^(3/5), before it is rounded",
        "MFE toolbox of Kevin Sheppard",
        MFE,
        {
            "noise": [1e-9, 2e-8, 2.25e-8, 5e-8],
            "quarticity": [1e-10, 1e-10, 4e-10, 3e-11],
            "n": [60.0, 300.0, 1024.0, 1440.0],
        },
        'opt = realized_options("Kernel"); opt.kernel = "nonflatparzen";\n'
        "function h = width(w, iq, n, opt)\n"
        "  opt.filteredN = n; h = realized_kernel_bandwidth(w, iq, opt); end",
        {"bandwidth": "arrayfun(@(w, iq, m) width(w, iq, m, opt), noise, quarticity, n)"},
        "Octave",
    ),
    *(
        Topic(
            f"jump{suffix}",
            "Jump statistics of Barndorff-Nielsen and Shephard of n log returns (last row t): "
            "bipower variation without, tripower quarticity with n / (n - 2); and the variations "
            "of Andersen, Dobrev and Schaumburg by nearest neighbours" + note,
            "highfrequency, commit 967dc40",
            "highfrequency",
            {"price": f"path/{name}", "rows": ROWS},
            R_PRICES + "library(highfrequency); r <- c(NA, diff(log(price)))\n"
            "z <- function(...) function(x) BNSjumpTest(x, ...)$ztest",
            by_window(
                {
                    "ratio_max": 'over(z(type = "ratio", max = TRUE), r, {n})',
                    "ratio": 'over(z(type = "ratio", max = FALSE), r, {n})',
                    "linear": 'over(z(type = "linear"), r, {n})',
                    "log_max": 'over(z(type = "linear", logTransform = TRUE, max = TRUE), r, {n})',
                    "tripower_scaled": "over(function(x) rTPQuar(as.matrix(x)), r, {n})",
                    "min_rv": "over(function(x) rMinRVar(as.matrix(x)), r, {n})",
                    "med_rv": "over(function(x) rMedRVar(as.matrix(x)), r, {n})",
                }
            ),
            "R",
        )
        for suffix, name, note in (
            ("", "price", ""),
            ("_noisy", "noisy", "; with noise, and a jump at row 580"),
            ("_sticky", "sticky", "; three in ten prices repeat, which alone makes z large"),
        )
    ),
    Topic(
        "hayashi_yoshida",
        "Covariance of log prices seen at their own times; the times of `b` moved back by `lags` "
        "seconds (`b` follows `a` by 2 s)",
        "mfe-toolbox",
        "mfe-toolbox",
        {
            "time_a": "asynchronous/time_a",
            "price_a": "asynchronous/price_a",
            "time_b": "asynchronous/time_b",
            "price_b": "asynchronous/price_b",
            "lags": [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0],
        },
        "from mfe.realized.covariance import realized_hayashi_yoshida\n"
        "def cov(k): return realized_hayashi_yoshida([price_a, price_b], "
        "[time_a, time_b - 1000 * k]).cov",
        {
            "covariance": "cov(0)[0, 1]",
            "variance_a": "cov(0)[0, 0]",
            "variance_b": "cov(0)[1, 1]",
            "contrast": "[cov(k)[0, 1] for k in lags]",
        },
        modules=("mfe",),
    ),
    Topic(
        "lead_lag",
        "Hoffmann, Rosenbaum and Yoshida: absolute contrast a lag (ms; > 0 where `a` leads), "
        "divided by the root of both realised variances of log prices, and the ratio of the sums "
        "of both sides (of contrasts, not of their squares). leadLag compares times as whole "
        "numbers and is right only where `b` is seen before and after `a`: so ms, as if seconds",
        "highfrequency, commit 967dc40",
        "highfrequency",
        {
            "time_a": "asynchronous/time_a",
            "price_a": "asynchronous/price_a",
            "time_b": "asynchronous/time_b",
            "price_b": "asynchronous/price_b",
            "lags": [250 * x for x in range(-16, 17)],
        },
        "library(highfrequency)\n"
        "seen <- function(t, p) data.table::data.table("
        'DT = as.POSIXct(t, origin = "1970-01-01", tz = "UTC"), PRICE = log(p))\n'
        "out <- leadLag(seen(time_a, price_a), seen(time_b, price_b), lags = lags)",
        {"contrast": "out$contrasts", "ratio": "out$`lead-lag-ratio`"},
        "R",
    ),
    Topic(
        "effective_spread",
        "Side of trades by the rule of Lee and Ready against the quotes before them, and their "
        "effective spread 2 side (price - mid); the mid is (bid + ask) / 2 compared exactly",
        "highfrequency, commit 967dc40",
        "highfrequency",
        {
            "price": "quotes/price",
            "bid": "quotes/bid",
            "ask": "quotes/ask",
        },
        "library(highfrequency)\n"
        "tq <- data.table::data.table(DT = as.POSIXct(seq_along(price), "
        'origin = "1970-01-01", tz = "UTC"), SYMBOL = "X", PRICE = price, SIZE = 1, '
        "BID = bid, OFR = ask, BIDSIZ = 1, OFRSIZ = 1)\n"
        "side <- getTradeDirection(tq)",
        {"side": "side", "effective": "getLiquidityMeasures(tq)$effectiveSpread"},
        "R",
    ),
    Topic(
        "edge",
        "Bid-ask spread (a share of the price) of open, high, low and close by Ardia, Guidotti and "
        "Kroencke (2024): over all bars, signed too, and rolling. Published values that the same "
        "version gives on the authors' own files, which are not kept here: pseudocode/ohlc.csv "
        "0.0101849034905478 (obtained 0.01018490349054776), pseudocode/ohlc-miss.csv "
        "0.01013284969780197 (obtained 0.010132849697801968), of the authors' repository at commit "
        "d642e02",
        "bidask",
        "bidask",
        {**bars(*OHLC), "rows": BAR_ROWS},
        "import bidask, pandas as pd\n"
        "ohlc = pd.DataFrame({'open': open, 'high': high, 'low': low, 'close': close})\n"
        "def last(t, n, **more): return bidask.edge(*(x[t - n + 1 : t + 1] for x in "
        "(open, high, low, close)), **more)",
        {
            "all": "bidask.edge(open, high, low, close)",
            "all_signed": "bidask.edge(open, high, low, close, sign=True)",
            **by_window(
                {
                    "edge": "[last(t, {n}) for t in rows]",
                    "edge_signed": "[last(t, {n}, sign=True) for t in rows]",
                    "rolling": "bidask.edge_rolling(ohlc, window={n})[rows]",
                },
                (21, 60),
            ),
        },
        modules=("bidask",),
    ),
    Topic(
        "vpin",
        "VPIN by bulk classification, 50 buckets a day over two days (UTC), 50 buckets averaged: "
        "one-minute bars from 22:00 (last less first price, volume), deviation of all changes "
        "(ddof 1), bucket size, imbalance |buy - sell| a bucket. A hundred buckets fill: the "
        "package counts one more, empty, whose values are not to be used",
        "PINstimation, commit ac6a463",
        "PINstimation",
        {"time": "trades/time", "price": "trades/price", "size": "trades/size"},
        "library(PINstimation)\n"
        "out <- vpin(data.frame(timestamp = as.POSIXct(1704146400 + time / 1000, "
        'origin = "1970-01-01", tz = "UTC"), price = price, volume = size), timebarsize = 60, '
        "buckets = 50, samplength = 50, tradinghours = 24, verbose = FALSE)\n"
        "bar <- factor(floor(time / 60000), 0:floor(max(time) / 60000))\n"
        "sums <- function(f) sapply(split(seq_along(bar), bar), f)\n"
        "change <- sums(function(i) if (length(i)) price[max(i)] - price[min(i)] else 0)\n"
        "volume <- sums(function(i) sum(size[i]))",
        {
            "bar_change": "change",
            "bar_volume": "volume",
            "sigma": "sd(change)",
            "bucket_volume": 'out@parameters["VBS"]',
            "bucket_buy": "out@bucketdata$agg.bvol",
            "bucket_sell": "out@bucketdata$agg.svol",
            "imbalance": "out@bucketdata$aoi",
            "vpin": "out@bucketdata$vpin",
        },
        "R",
    ),
    Topic(
        "hawkes",
        "Exponential Hawkes process (base 0.5, jump 0.8, decay 1.6 a second): log likelihood up to "
        "200 s, compensator at each event, and the intensity at whole tens of seconds",
        "hawkesbook",
        "hawkesbook",
        {"time": "events/time", "at": [float(t) for t in range(10, 210, 10)]},
        "import hawkesbook as hb\ntheta = np.array([0.5, 0.8, 1.6])",
        {
            "log_likelihood": "hb.exp_log_likelihood(time, 200.0, theta)",
            "compensator": "hb.exp_hawkes_compensators(time, theta)",
            "intensity": "[hb.exp_hawkes_intensity(t, time[time < t], theta) for t in at]",
        },
        modules=("hawkesbook",),
    ),
]
