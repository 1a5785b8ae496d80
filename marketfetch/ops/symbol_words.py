"""Symbols as people write and export them: in words, in a text, in the column of a table; each once, in order."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from typing import Final

#: What stands between two symbols. Other control characters are no separators, so that they are reported.
_BLANKS: Final = " \t\r\n\xa0"
_BETWEEN: Final = re.compile(f"[{_BLANKS},;]+")
#: A comment begins a line, or follows a blank: a # inside a symbol belongs to it.
_COMMENT: Final = re.compile(r"(^|[ \t])#.*")
#: Pairs of quotes. An apostrophe inside a symbol belongs to it.
_QUOTES: Final = ('""', "''", "``", "“”", "‘’", "«»", "„“")
#: The titles, in lower case, of the column that holds the symbols.
_TITLES: Final = ("symbol", "symbols", "ticker", "tickers")
_DELIMITERS: Final = (",", ";", "\t", "|")
_DATE: Final = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")
#: The endings of files of symbols. No exchange has such a suffix, and none is written in small letters.
_FILES: Final = (".txt", ".csv")
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class NoTextError(ValueError):
    """A file of symbols that is no text. The message says where, and what to do."""


def mistaken(word: str) -> str:
    """What to write instead of a word that is a date or a file and stands among the symbols, as a sentence; "" for a symbol."""
    if _DATE.fullmatch(word):
        return f"{word} is a date and no symbol: the days of a range are its start and its end (`--start {word}`)."
    if word.endswith(_FILES) and not word.startswith("@"):
        return f"{word} is the name of a file and no symbol: write @{word} for the symbols in that file."
    return ""


def decoded(data: bytes, *, name: str) -> str:
    """The text of a file. Raises NoTextError."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding).replace("\ufeff", "")
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        raise NoTextError(f"{name} is no text in UTF-8 (look at line {line}): save it as UTF-8") from None


def of_text(text: str) -> Iterator[str]:
    """The symbols of a list, or of a table whose first line has a column with such a title."""
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if _COMMENT.sub("", line).strip(_BLANKS)]
    head = _COMMENT.sub("", lines[0]) if lines else ""
    titles, delimiter = _titles(head)
    column = next((number for number, title in enumerate(titles) if title in _TITLES), None)
    if column is None or len(titles) == 1:
        for line in lines if column is None else lines[1:]:
            yield from split(_COMMENT.sub("", line))
        return
    for row in csv.reader(lines[1:], delimiter=delimiter):
        cell = _bare(row[column]) if column < len(row) else ""
        if cell:
            yield cell


def _titles(head: str) -> tuple[list[str], str]:
    """The cells of a table's first line, in lower case, and what is between them."""
    delimiter = max(_DELIMITERS, key=head.count)
    return [_bare(title).casefold() for title in next(csv.reader([head], delimiter=delimiter), [])], delimiter


def split(text: str) -> list[str]:
    """The symbols of a text without comments and tables."""
    return [bare for one in _BETWEEN.split(text) if (bare := _bare(one))]


def _bare(text: str) -> str:
    """A text without the blanks and the pair of quotes around it."""
    text = text.strip(_BLANKS)
    while len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip(_BLANKS)
    return text.strip('"')
