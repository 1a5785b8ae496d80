"""What each program is asked for, and where it writes: bars of many symbols of one month, appended to bars.csv.

The environment names the vendor and the key, as it would for a program of one's own.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

from marketfetch.settings import unrelated_environment

START, END = "2024-01-02", "2024-01-31"
#: 120 symbols: at 20 calls in 6 s half a minute.
SYMBOLS: Final = tuple("".join(letters) for letters in itertools.islice(itertools.product("ABCDE", repeat=3), 120))
COUNT, WINDOW_S = 20, 6
FILE: Final = Path("bars.csv")


def url(symbol: str, vendor: str | None = None) -> str:
    return f"{vendor or _of('VENDOR_URL')}/v2/aggs/ticker/{symbol}/range/1/day/{START}/{END}"


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {_of('VENDOR_KEY')}"}


def redis_url() -> str:
    return _of("BROKER_URL")


def append(symbol: str, reply: dict[str, Any]) -> None:
    """Writes the bars of a reply, a line each."""
    lines = [f"{symbol},{bar['t']},{bar['c']}\n" for bar in reply.get("results", [])]
    with FILE.open("a", encoding="utf-8") as file:
        file.write("".join(lines))


def _of(name: str) -> str:
    return unrelated_environment()[name]
