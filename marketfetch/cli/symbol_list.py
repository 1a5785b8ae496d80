"""Symbols as people write and export them: on the command line, in a file, in the column of a table; each once, in order."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from typing import IO, Final

import click

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
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def symbols_of(words: Sequence[str], file: IO[bytes] | None = None) -> tuple[str, ...]:
    """The symbols of a command's words, then those of a file. Raises BadParameter for a file that is no text.

    Nothing is checked here: what is no symbol stays as it is, for the error that names it.
    """
    found = [one for word in words for one in (_split(word) or [word.strip()])]
    if file is not None:
        found += _of_text(_decoded(file.read(), name=getattr(file, "name", "the symbols file")))
    return tuple(dict.fromkeys(found))


def _decoded(data: bytes, *, name: str) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding).replace("\ufeff", "")
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        raise click.BadParameter(f"{name} is no text in UTF-8 (look at line {line}): save it as UTF-8") from None


def of_whole_market(provider: str, dataset: str) -> tuple[str, ...]:
    """What stands for every symbol, where the dataset is asked for without symbols; none where it is not."""
    from marketfetch import vendors
    from marketfetch.schemas.symbol_text import WHOLE_MARKET
    from marketfetch.vendors.whole_market import is_whole_market

    known = provider in vendors.names() and is_whole_market(vendors.vendor(provider), dataset)
    return (WHOLE_MARKET,) if known else ()


def _of_text(text: str) -> Iterator[str]:
    """The symbols of a list, or of a table whose first line has a column with such a title."""
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if _COMMENT.sub("", line).strip(_BLANKS)]
    head = _COMMENT.sub("", lines[0]) if lines else ""
    titles, delimiter = _titles(head)
    column = next((number for number, title in enumerate(titles) if title in _TITLES), None)
    if column is None or len(titles) == 1:
        for line in lines if column is None else lines[1:]:
            yield from _split(_COMMENT.sub("", line))
        return
    for row in csv.reader(lines[1:], delimiter=delimiter):
        cell = _bare(row[column]) if column < len(row) else ""
        if cell:
            yield cell


def _titles(head: str) -> tuple[list[str], str]:
    """The cells of a table's first line, in lower case, and what is between them."""
    delimiter = max(_DELIMITERS, key=head.count)
    return [_bare(title).casefold() for title in next(csv.reader([head], delimiter=delimiter), [])], delimiter


def _split(text: str) -> list[str]:
    return [bare for one in _BETWEEN.split(text) if (bare := _bare(one))]


def _bare(text: str) -> str:
    """A text without the blanks and the pair of quotes around it."""
    text = text.strip(_BLANKS)
    while len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip(_BLANKS)
    return text.strip('"')
