"""What the demo asks for, and the faults of the sandbox that make rejects and retries visible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Wish:
    """One job of the demo: five years of daily bars. The ranges hold days for which there are recorded replies."""

    provider: str
    symbols: tuple[str, ...]
    start: date
    end: date
    dataset: str = "bars"


_STOCKS: Final = (
    *("IBM", "MSFT", "AAPL", "ADBE", "AMD", "AMZN", "BA", "CAT", "COST", "CSCO", "CVX", "DIS"),
    *("GE", "GOOG", "GS", "HD", "INTC", "JNJ", "JPM", "KO", "MCD", "NFLX", "NVDA"),
)

#: No vendor knows it: one request of the demo fails, and says why.
UNKNOWN: Final = "ZZZZ"

WISHES: Final = (
    Wish("alpha_vantage", (*_STOCKS[:20], UNKNOWN), date(2021, 5, 16), date(2026, 5, 15)),
    Wish("polygon", _STOCKS, date(2021, 5, 16), date(2026, 5, 15)),
    Wish("nasdaq", _STOCKS[:21], date(2013, 3, 28), date(2018, 3, 27), dataset="WIKI/PRICES"),
)

#: As the sandbox's control endpoint takes them. Each happens once.
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "bad_rows", "provider": "alpha_vantage", "symbol": "CAT", "count": 1},
    {"kind": "bad_rows", "provider": "polygon", "symbol": "DIS", "count": 1},
    {"kind": "bad_rows", "provider": "nasdaq", "symbol": "GE", "count": 1},
    {"kind": "503", "provider": "polygon", "symbol": "COST", "count": 1, "retry_after": 2},
    {"kind": "429", "provider": "polygon", "symbol": "INTC", "count": 1, "retry_after": 2},
    {"kind": "cut_json", "provider": "nasdaq", "symbol": "BA", "count": 1},
)
ON_PURPOSE: Final = (
    f"On purpose, the sandbox knows no {UNKNOWN}, damages some rows, and once each answers 503, 429 and half a reply."
)
