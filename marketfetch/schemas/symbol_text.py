"""A symbol as text: the characters that vendors' own spellings have, and what is wrong with any other text, in words."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from marketfetch.printable import printable
from marketfetch.schemas.record_kinds import WHOLE_MARKET as WHOLE_MARKET  # where storage finds it without pydantic

#: The longest symbol: time series have the longest ones, DATABASE/CODE.
LONGEST: Final = 64
#: The longest one with filters behind a "?", such as TABLE?column=value&column.gte=value.
LONGEST_WITH_FILTERS: Final = 500
#: What symbols have besides letters and digits: M&M.BSE, ^GSPC, ES=F, C:EURUSD, BRK/B, BAC-PL, ES1!, AB~T, X#, Y*.
_SIGNS: Final = frozenset("&'~$#@^=+_-/.:!*()%?")
#: Most symbols. A job has thousands, which are read again with each look at it: one match in place of a look at each sign.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_^=-]{0,63}")
_NAMED: Final = {
    " ": "a blank: name each symbol by itself",
    ",": "a comma: name each symbol by itself",
    ";": "a semicolon: name each symbol by itself",
    '"': "a quotation mark: leave it out",
    "\n": "a line break: name each symbol by itself",
    "\r": "a line break: name each symbol by itself",
    "\t": "a tab: name each symbol by itself",
}
#: The type of the error of a bad symbol, whose message is a whole sentence.
BAD_SYMBOL: Final = "bad_symbol"
_MOST_SHOWN: Final = 40


def problem(text: str) -> str | None:
    """What keeps a text from being a symbol, as a sentence that names it; None for a symbol, and for "*"."""
    if text == WHOLE_MARKET or _PLAIN.fullmatch(text):
        return None
    shown = f"'{printable(text, most=_MOST_SHOWN)}'"
    if not text.strip():
        return "a symbol is empty: name one, such as the vendor's own spelling of a stock"
    for one in text:
        if not ((one.isascii() and one.isalnum()) or one in _SIGNS):
            return f"the symbol {shown} has {_named(one)}"
    longest = LONGEST_WITH_FILTERS if "/" in text.partition("?")[0] and "?" in text else LONGEST
    if len(text) > longest:
        return f"the symbol {shown} has {len(text)} characters, and the longest ones have {longest}: name each symbol by itself"
    if not any(one.isalnum() for one in text):
        return f"the symbol {shown} has neither a letter nor a digit"
    if not {".", ".."}.isdisjoint(text.split("/")):
        # A URL would lead to another place by such a part, also where it is percent-encoded.
        return f"the symbol {shown} has a part of dots alone"
    return None


def _named(one: str) -> str:
    if one in _NAMED:
        return _NAMED[one]
    if not one.isprintable():
        return f"a character that can't be seen ({printable(one)}): write it anew"
    if not one.isascii():
        return f"{one!r}, and symbols are written in ASCII"
    return f"{one!r}, which no vendor's symbols have"


def _checked(text: str) -> str:
    wrong = problem(text)
    if wrong is not None:
        raise PydanticCustomError(BAD_SYMBOL, "{sentence}", {"sentence": wrong})
    return text


#: A symbol in the vendor's own spelling; its error is a sentence that names it.
Symbol = Annotated[str, AfterValidator(_checked)]
