"""What features tell of the returns after them, on real data: the tables of docs/feature-study.md.

    python -m benchmarks.feature_study [../shared/data/lake] [--only candles|recordings]

Two years of five-minute candles of a perpetual, with its spot, its funding and a second asset; and
recordings of books and trades at bars of a second. Takes some minutes.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.features import FEATURES, compute
from mrtrade.features.candles import candle_bars
from mrtrade.features.correlations import analyze_feature_correlations, forward_returns
from mrtrade.features.joins import with_perpetual, with_second_asset
from mrtrade.features.market import load_bars
from mrtrade.features.mean_reversion import calculate_half_life

TOP = 10
YEARS = slice("2023-01-01", "2024-12-31")

#: Exchange, symbol, days, and a second asset of the same exchange that was recorded beside it.
RECORDINGS = [
    ("BINANCE", "BTC-USDT", ("2024-08-08", "2024-08-09"), None),
    ("BINANCE", "ETH-USDT", ("2024-08-08", "2024-08-09"), "BTC/USDT"),
    ("BINANCE_FUTURES", "BTC-USDT-PERP", ("2024-07-18", "2024-07-19"), None),
    ("BINANCE_FUTURES", "ETH-USDT-PERP", ("2024-07-18", "2024-07-19"), "BTC/USDT-PERP"),
    ("BINANCE_FUTURES", "BTC-USDT-PERP", ("2024-08-08",), None),
    ("BINANCE_FUTURES", "ETH-USDT-PERP", ("2024-08-08",), "BTC/USDT-PERP"),
]
QUIET = ("BINANCE", "NEXO-USDT", ("2024-07-23", "2024-07-24"), None)


def candles(lake: Path, name: str) -> pd.DataFrame:
    """Bars of five minutes over the two years."""
    frame = pd.read_parquet(lake / "ohlcv" / f"{name}_5m.parquet")
    return candle_bars(frame).loc[YEARS]


def perpetual(lake: Path) -> pd.DataFrame:
    """Bars of BTC's perpetual, with its spot for an index, and ETH beside it."""
    bars = candles(lake, "BINANCE_FUTURES_BTC-USDT-PERP")
    rates = pd.read_parquet(lake / "funding_history" / "BINANCE_FUTURES_BTC-USDT-PERP.parquet")
    known = pd.to_datetime(rates.pop("funding_time"), utc=True).rename("time")
    spot = candles(lake, "BINANCE_BTC-USDT")["mid"]
    bars = with_perpetual(bars, funding=rates.set_index(pd.DatetimeIndex(known)), spot=spot)
    return with_second_asset(bars, candles(lake, "BINANCE_ETH-USDT"))


def recorded(lake: Path, folder: str, recording: tuple) -> pd.DataFrame:
    """Bars of a second of a recording."""
    exchange, symbol, days, other = recording
    store = ParquetStore(Path(folder) / "-".join((exchange, symbol, days[0])))
    symbols = [symbol] + ([other.replace("/", "-")] if other else [])
    for table in ("book_delta_v2", "book_seed", "trades", "funding"):
        for one in symbols:
            place = lake / table / f"exchange={exchange}" / f"symbol={one}"
            for day in days:
                if (place / f"dt={day}").exists():
                    ingest(place / f"dt={day}", store)
    return load_bars(store, exchange, symbol, "1s", other=other)


def study(bars: dict[str, pd.DataFrame], horizons: list[int], unit: str) -> None:
    """Print the features that go furthest with the returns after them."""
    features = {}
    for name, frame in bars.items():
        out = compute(frame)
        features[name] = out.drop(columns=[*out.attrs["reasons"]])
    common = [name for name in FEATURES if all(name in frame for frame in features.values())]
    features = {name: frame[common] for name, frame in features.items()}
    after = {name: forward_returns(frame["mid"], horizons) for name, frame in bars.items()}
    found = analyze_feature_correlations(features, after)
    rows = ", ".join(f"{name} {len(frame):,}" for name, frame in bars.items())
    print(f"\nBars: {rows}. {len(common)} features x {len(horizons)} horizons.")
    table = found.table[found.table["reason"] == ""]
    parts = found.by_symbol if len(bars) > 1 else found.by_month
    for h in horizons:
        of_h = table[table["returns"] == h]
        order = of_h["rank_ic_t"].abs().sort_values(ascending=False)
        best = of_h.loc[order.index[:TOP]]
        late = a_bar_late(features, after, [*best["feature"]], h)
        spread = 1e4 * pd.concat([one[h] for one in after.values()]).std()
        sure = of_h[of_h["rank_ic_p_adj"] < 0.05]
        most = sure.loc[sure["ic"].abs().idxmax()]
        print(
            f"\n**{h} {unit}**: the return has sd {spread:.1f} bps; of {len(of_h)} features "
            f"{len(sure)} have p < 5 % after correction, the most worth of which is "
            f"`{most['feature']}` with {spread * abs(most['ic']):.2f} bps; median |rank IC| of all "
            f"{of_h['rank_ic'].abs().median():.4f}.\n"
        )
        print("| feature | n | rank IC | t | p, corrected | same sign | a bar late | IC | worth |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for row in best.itertuples():
            each = parts.loc[(row.feature, h)].dropna()
            same = "" if len(each) < 2 else f"{(each * row.rank_ic > 0).sum()} of {len(each)}"
            print(
                f"| `{row.feature}` | {row.n:,} | {row.rank_ic:+.4f} | {row.rank_ic_t:+.1f} "
                f"| {row.rank_ic_p_adj:.1g} | {same} | {late[row.feature]:+.4f} | {row.ic:+.4f} "
                f"| {abs(row.ic) * spread:.2f} |"
            )


def a_bar_late(features: dict, after: dict, names: list[str], horizon: int) -> pd.Series:
    """Rank ICs of features that one acts on when the next bar has ended."""
    late = {name: frame[names].shift(1) for name, frame in features.items()}
    found = analyze_feature_correlations(
        late, {name: one[[horizon]] for name, one in after.items()}
    )
    return found.table.set_index("feature")["rank_ic"]


def half_lives(lake: Path) -> None:
    """Print how long prices and the basis take to come back, and whether to believe it."""
    spot = candles(lake, "BINANCE_BTC-USDT")["mid"]
    swap = candles(lake, "BINANCE_FUTURES_BTC-USDT-PERP")["mid"]
    for what, prices in (("BTC-USDT", spot), ("BTC-USDT-PERP / BTC-USDT", (swap / spot).dropna())):
        print(f"\n{what}\n\n```\n{calculate_half_life(prices, '5min', gaps='carry')}\n```")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lake", type=Path, nargs="?", default=Path("../shared/data/lake"))
    parser.add_argument("--only", choices=("candles", "recordings"))
    args = parser.parse_args()
    if args.only != "recordings":
        half_lives(args.lake)
        study({"BTC-USDT-PERP": perpetual(args.lake)}, [1, 12, 48], "x 5 min")
    if args.only != "candles":
        with tempfile.TemporaryDirectory() as folder:
            liquid = {
                f"{one[1]} {one[2][0]}": recorded(args.lake, folder, one) for one in RECORDINGS
            }
            study(liquid, [1, 5, 10], "s")
            study({QUIET[1]: recorded(args.lake, folder, QUIET)}, [1, 10, 60], "s")


if __name__ == "__main__":
    main()
