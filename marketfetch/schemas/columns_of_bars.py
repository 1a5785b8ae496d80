"""The names of a bar's columns, apart from the arrays: code that only spells them need not load numpy."""

from __future__ import annotations

from typing import Final

#: Every column that holds a float, in the order of the `bars` view. NaN means "the vendor did not say".
FLOAT_COLUMNS: Final = ("open", "high", "low", "close", "volume", "vwap", "trades")
PRICE_COLUMNS: Final = ("open", "high", "low", "close")
