"""What a price may be, by its kind: a price is not always positive, below a ceiling, and inside the range of its day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from marketfetch.schemas.timespans import Adjustment

#: `traded`: prices of trades, as quoted. `adjusted`: traded prices times a factor. `settlement`: the close is set by the
#: exchange, beside the trades of the day. `value`: rates, spreads and indices, which are no prices of trades.
PriceKind = Literal["traded", "adjusted", "settlement", "value"]
PRICE_KINDS: Final[tuple[PriceKind, ...]] = get_args(PriceKind)

#: No instrument of these vendors trades above this price; vendors send 9e11 for garbage tickers.
HIGHEST_PRICE: Final = 1e10


@dataclass(frozen=True, slots=True)
class PriceRule:
    """`positive`: above zero. `highest`: the ceiling. `close_in_range`: the close lies between low and high."""

    positive: bool
    highest: float
    close_in_range: bool


RULES: Final[Mapping[PriceKind, PriceRule]] = MappingProxyType(
    {
        "traded": PriceRule(positive=True, highest=HIGHEST_PRICE, close_in_range=True),
        # A fund with many reverse splits has adjusted prices above 10^11.
        "adjusted": PriceRule(positive=True, highest=math.inf, close_in_range=True),
        # Oil settled at -37.63 on 2020-04-20; a settlement is computed after the last trade and may lie outside the range.
        "settlement": PriceRule(positive=False, highest=math.inf, close_in_range=False),
        "value": PriceRule(positive=False, highest=math.inf, close_in_range=True),
    }
)


def kind_by(adjustment: Adjustment) -> PriceKind:
    """Returns the kind of traded bars of this adjustment."""
    return "traded" if adjustment == "raw" else "adjusted"
