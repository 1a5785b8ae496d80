"""The symbols that the sandbox knows: what kind each is, and since when it is listed."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from marketfetch.sandbox.sessions import FIRST, Kind

_COINS: Final = "BTC ETH LTC XRP ADA SOL DOGE DOT BCH LINK AVAX UNI"
COINS: Final = frozenset(_COINS.split())
_CURRENCIES: Final = "USD EUR GBP JPY CHF AUD CAD NZD SEK NOK DKK PLN CNY HKD SGD INR MXN ZAR BRL KRW TRY"
CURRENCIES: Final = frozenset(_CURRENCIES.split())

_STOCKS: Final = (
    "AAPL ABBV ABT ACN ADBE AMD AMGN AMZN AVGO AXP BA BAC BLK BRK.A BRK.B C CAT COST CRM CSCO CVX DE DIS GE GOOG "
    "GOOGL GS HD HON IBM INTC INTU ISRG JNJ JPM KO LIN LLY LOW MA MCD META MRK MS MSFT NFLX NKE NVDA ORCL PEP PFE "
    "PG PLTR PM QCOM RTX SBUX SPGI SPY T TMO TSLA TXN UNH UNP V VZ WFC WMT XOM ZEN"
)
#: The symbols in replies to a whole-table request and to a list of tickers.
UNIVERSE: Final = tuple(_STOCKS.split())
#: Stocks that have ended, each with its last day. A ticker that was used twice has two.
DELISTED: Final = (
    ("BBBY", "2023-05-02"),
    ("TWTR", "2022-10-27"),
    ("YHOO", "2017-06-16"),
    ("Q", "2000-06-30"),
    ("Q", "2011-04-01"),
)
_LISTED: Final = {"ZEN": date(2014, 5, 15), "TSLA": date(2010, 6, 29)}
#: With the signs that real symbols have: M&M.BSE, BRK/B, BAC-PL, ES1!, AB~T, (AB).
_STOCK: Final = re.compile(r"[(^]?[A-Z]{1,5}([&'~$#@^=+!*%?)][A-Z0-9]{0,3}|/[A-Z])?([._-][A-Z]{1,3})?")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol in the sandbox's own writing: `IBM`, `C:EURUSD`, `X:BTCUSD`. `digits` are the decimals of its prices."""

    name: str
    kind: Kind
    listed: date
    digits: int

    @property
    def volume_digits(self) -> int:
        return 8 if self.kind == "crypto" else 0

    @property
    def hash(self) -> int:
        return zlib.crc32(self.name.encode())


def stock(name: str) -> Symbol | None:
    """Any one to five capitals, with a sign, and a class or market behind "." "_" "-", if need be. ZZZZ... is unknown."""
    if name.startswith("ZZZZ") or not _STOCK.fullmatch(name):
        return None
    return Symbol(name, "stock", _LISTED.get(name) or _listed(name), 4)


def pair(base: str, quote: str) -> Symbol | None:
    """A coin in a currency, or a currency in another."""
    if quote not in CURRENCIES or base == quote:
        return None
    if base in COINS:
        return Symbol(f"X:{base}{quote}", "crypto", date(2012, 1, 1), 2)
    return Symbol(f"C:{base}{quote}", "fx", FIRST, 5) if base in CURRENCIES else None


def ticker(name: str) -> Symbol | None:
    """A ticker in Polygon's writing: `AAPL`, `C:EURUSD`, `X:BTCUSD`."""
    if name[:2] in ("C:", "X:"):
        found = pair(name[2:-3], name[-3:])
        return found if found and found.name == name else None
    return stock(name)


def _listed(name: str) -> date:
    """Three quarters of all stocks are as old as the sandbox's time; the others begin between 2000 and 2018."""
    draw = zlib.crc32(f"listed {name}".encode())
    if name in UNIVERSE or draw % 4:
        return FIRST
    return date(2000, 1, 3) + timedelta(days=draw // 4 % 6900)
