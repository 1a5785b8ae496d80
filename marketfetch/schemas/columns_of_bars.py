"""The names of a bar's columns, in a module without numpy: code that needs only the names imports fast."""

from __future__ import annotations

from typing import Final

#: Every column that holds a float, in the order of the `bars` view. NaN means that the vendor sent no value.
FLOAT_COLUMNS: Final = ("open", "high", "low", "close", "volume", "vwap", "trades")
PRICE_COLUMNS: Final = ("open", "high", "low", "close")
