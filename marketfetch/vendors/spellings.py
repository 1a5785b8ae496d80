"""Spellings of symbols that are in use among vendors, and what each means: help for a user who writes one vendor's at another.

Only what is sure to be such a spelling is read; every other text may be a symbol of some vendor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from marketfetch.vendors.errors import PlanError

#: index: an index by its ticker. class: a share class, BRK and B. preferred: a preferred stock, BAC and L. fx, crypto: a pair.
#: future, option: a contract.
Kind = Literal["index", "class", "preferred", "fx", "crypto", "future", "option"]

_MONEY_OF_STATES: Final = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNH CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KRW KWD MAD MXN MYR NGN NOK "
    "NZD PEN PHP PKR PLN QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR"
)
_CURRENCIES: Final = frozenset(_MONEY_OF_STATES.split())
_CRYPTO: Final = (
    "AAVE ADA ALGO APT ATOM AVAX BCH BNB BTC DOGE DOT EOS ETC ETH FIL ICP LINK LTC MATIC NEAR SHIB SOL TRX UNI USDC USDT XLM "
    "XMR XRP XTZ ZEC"
)
_COINS: Final = frozenset(_CRYPTO.split())
_FIRSTS: Final = _CURRENCIES | _COINS
_MONEY: Final = _CURRENCIES | {"USDT", "USDC", "BTC", "ETH"}
_PREFIXES: Final[dict[str, Kind]] = {"C:": "fx", "X:": "crypto", "I:": "index", "O:": "option"}
_CLASS: Final = re.compile(r"([A-Z]{1,5})([.\-_/])([A-Z])")
#: BAC.PRL, as exchanges write it. BAC-PL may be a symbol of a vendor.
_PREFERRED: Final = re.compile(r"([A-Z]{1,5})([.\-/])PR[.\-]?([A-Z])")
_PAIR: Final = re.compile(r"([A-Z]{2,5})([/\-_])([A-Z]{3,4})")
_SUFFIXED: Final = re.compile(r"([A-Z0-9]{1,6})=([XF])")
_INDEX: Final = re.compile(r"\^([A-Z][A-Z0-9.]*)")
_MOST_REPORTED: Final = 3


@dataclass(frozen=True, slots=True)
class Spelling:
    """What a symbol means. `first`, `second`: root and class, the two of a pair ("" where they are not known), or a ticker.

    `form` is the sign that makes the spelling: "C:", "=X", "^", "/", "-", "_", ".", or "" for a pair without a sign.
    """

    kind: Kind
    form: str
    first: str
    second: str = ""


def read(symbol: str) -> Spelling | None:
    """The meaning of a symbol that has one of these spellings, in any case; None for every other symbol."""
    text = symbol.upper()
    if kind := _PREFIXES.get(text[:2]):
        first, second = _halves(text[2:]) if kind in ("fx", "crypto") else (text[2:], "")
        return Spelling(kind, text[:2], first, second)
    if found := _INDEX.fullmatch(text):
        return Spelling("index", "^", found[1])
    if found := _SUFFIXED.fullmatch(text):
        if found[2] == "F":
            return Spelling("future", "=F", found[1])
        first, second = _halves(found[1]) if len(found[1]) > 3 else ("USD", found[1])
        return Spelling("fx", "=X", first, second) if second else None
    if found := _CLASS.fullmatch(text):
        return Spelling("class", found[2], found[1], found[3])
    if found := _PREFERRED.fullmatch(text):
        return Spelling("preferred", found[2], found[1], found[3])
    if found := _PAIR.fullmatch(text):
        return _pair(found[1], found[3], form=found[2])
    first, second = _halves(text)
    return _pair(first, second, form="") if second else None


def object_to(sentences: Iterable[str]) -> None:
    """Raises PlanError with the first of these sentences and the number of the others; returns where there are none."""
    said = list(sentences)
    more = f" The same is true of {len(said) - _MOST_REPORTED:,} more symbols." if len(said) > _MOST_REPORTED else ""
    if said:
        raise PlanError(" ".join(said[:_MOST_REPORTED]) + more)


def _pair(first: str, second: str, *, form: str) -> Spelling | None:
    if first in _COINS and second in _MONEY:
        return Spelling("crypto", form, first, second)
    return Spelling("fx", form, first, second) if first in _CURRENCIES and second in _CURRENCIES else None


def _halves(text: str) -> tuple[str, str]:
    """The two of a pair without a sign between them; ("", "") where they are not known."""
    for at in range(2, len(text) - 2):
        if text[:at] in _FIRSTS and text[at:] in _MONEY:
            return text[:at], text[at:]
    return "", ""
