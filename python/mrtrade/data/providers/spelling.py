"""How exchanges spell instruments, in Crypto Lake's spelling."""

import re

from mrtrade.errors import ConfigError, DataError
from mrtrade.instruments import to_lake

# Longest first: BTCFDUSD is BTC/FDUSD, not BTCFD/USD.
_QUOTES = (
    *("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "USDS", "USD1", "IDRT", "BIDR", "BVND"),
    *("USD", "DAI", "BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL", "EUR", "TRY", "BRL"),
    *("GBP", "AUD", "JPY", "RUB", "UAH", "NGN", "PLN", "RON", "ARS", "MXN", "CZK", "COP", "IDR"),
    *("ZAR", "VAI"),  # codespell:ignore
)
_MONTHS = "FGHJKMNQUVXZ"
_DATED = re.compile(r"(\d\d)(\d\d)(\d\d)")


def binance(exchange: str, native: str) -> str:
    """Return Crypto Lake's symbol of one of Binance's.

    ``BTCUSDT`` is ``BTC-USDT`` on spot and ``BTC-USDT-PERP`` on the futures exchange;
    ``BTCUSD_PERP`` is ``BTC-USD-PERP``; ``BTCUSDT_240927`` is ``BTC-USDT-24U27``.

    Raises
    ------
    DataError
        If the quote currency is not known.
    """
    pair, _, term = native.upper().partition("_")
    quote = next((one for one in _QUOTES if pair.endswith(one) and pair != one), None)
    if quote is None:
        raise DataError(
            "cannot tell base and quote currency",
            value=native,
            expected="a symbol that ends in a quote currency known here",
            remedy="say the symbol: --symbol BASE/QUOTE, or BASE/QUOTE-PERP",
        )
    spot = plain(f"{pair.removesuffix(quote)}-{quote}")
    if exchange == "BINANCE":
        return spot
    return f"{spot}-PERP" if term in ("", "PERP") else f"{spot}-{dated(term)}"


def plain(native: str) -> str:
    """Return a symbol that is spelled as Crypto Lake's are: ``BTC-USDT``.

    Raises
    ------
    DataError
        If it is not.
    """
    try:
        return to_lake(native)
    except ConfigError:
        raise DataError(
            "cannot tell base and quote currency",
            value=native,
            expected="BASE-QUOTE",
            remedy="say the symbol: --symbol BASE/QUOTE, or BASE/QUOTE-PERP",
        ) from None


def okx(native: str) -> str:
    """Return Crypto Lake's symbol of one of OKX's: ``UNI-USD-SWAP`` is ``UNI-USD-PERP``."""
    pair, _, term = native.rpartition("-")
    if term == "SWAP":
        return plain(f"{pair}-PERP")
    return plain(f"{pair}-{dated(term)}" if _DATED.fullmatch(term) else native)


def dated(term: str) -> str:
    """Return a date of delivery as cryptofeed writes it: ``220527`` is ``22K27``."""
    match = _DATED.fullmatch(term)
    if match is None or not 1 <= int(match[2]) <= 12:
        raise DataError("not a date of delivery", value=term, expected="YYMMDD")
    return f"{match[1]}{_MONTHS[int(match[2]) - 1]}{match[3]}"
