"""Universes: `@name` stands for many symbols, wherever symbols are given.

    [universes]
    watchlist = ["AAPL", "MSFT"]
    sp500 = "lists/sp500.txt"      # a line each, or a CSV with a column symbol or ticker

`@lists/sp500.txt` names a file without a setting. A universe is read when it is used, so a job has the symbols of its moment.
One that can't be read costs its own symbols only: a sentence says so, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.symbol_words import NoTextError, decoded, of_text
from marketfetch.lazy_logger import logger
from marketfetch.printable import printable
from marketfetch.schemas.symbol_text import problem
from marketfetch.settings import config_path, get_settings
from marketfetch.suggestions import did_you_mean

log = logger("marketfetch.universes")

#: What begins the name of a universe. No vendor's symbol begins with it.
AT: Final = "@"
#: Larger lists of symbols than any market has.
_MOST_BYTES: Final = 16 << 20
_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Resolved:
    """Symbols without universes, each once, and a sentence about each universe, or symbol of one, that could not be used."""

    symbols: tuple[str, ...]
    notes: tuple[str, ...] = ()


class _Unusable(ValueError):
    """A universe can't be read. The message is a sentence."""


def resolved(words: Sequence[str], *, known: Mapping[str, list[str] | str] | None = None) -> Resolved:
    """The symbols that these words stand for, in their order. Words without a universe stay as they are.

    `known` are the universes, None for those of this process's settings. Raises BadRequestError for an unknown universe, and
    where no symbol is left.
    """
    if not names_universe(words):
        return Resolved(tuple(words))
    symbols: list[str] = []
    notes: list[str] = []
    for word in words:
        if not word.startswith(AT):
            symbols.append(word)
            continue
        try:
            found = _of_universe(word.removeprefix(AT), get_settings().universes if known is None else known)
        except _Unusable as error:
            notes.append(str(error))
            continue
        for symbol in found:
            if wrong := problem(symbol):
                notes.append(f"{_shown(word)}: {wrong}, so it is left out.")
            else:
                symbols.append(symbol)
    if not symbols:
        raise BadRequestError(" ".join(notes) or f"The universe {_shown(words[0])} has no symbol: name at least one.")
    return Resolved(tuple(dict.fromkeys(symbols)), tuple(notes))


def without_universes(words: Sequence[str]) -> Sequence[str]:
    """The same, where no person waits for the sentences: the log gets them."""
    if not names_universe(words):
        return words
    found = resolved(words)
    for note in found.notes:
        log.warning("universe", note=note)
    return found.symbols


def names_universe(words: object) -> bool:
    """True for a list of words, of which one names a universe."""
    return (
        isinstance(words, Iterable)
        and not isinstance(words, str)
        and all(isinstance(one, str) for one in words)
        and any(one.startswith(AT) for one in words)
    )


def _of_universe(name: str, known: Mapping[str, list[str] | str]) -> tuple[str, ...]:
    """Raises BadRequestError for an unknown name, _Unusable for a file that can't be read."""
    if name in known:
        given = known[name]
        return _of_file(name, given) if isinstance(given, str) else tuple(given)
    if "." in name or "/" in name:
        return _of_file(name, name)
    meant = did_you_mean(name, known, as_written="@{}")
    there_are = f"There are {', '.join(f'@{one}' for one in known)}." if known else "The settings have none."
    raise BadRequestError(
        f"There is no universe {_shown(AT + name)}. {meant}{' ' if meant else ''}{there_are} Add it to [universes] in "
        f"marketfetch.toml, or name a file of symbols, such as @{_shown(name)}.txt."
    )


def _of_file(name: str, path: str) -> tuple[str, ...]:
    """A relative path of the settings is that of a file beside marketfetch.toml."""
    file = Path(path).expanduser()
    settings = config_path()
    if not file.is_absolute() and name != path and settings is not None:
        file = settings.parent / file
    left_out = f"The universe {_shown(AT + name)} was left out"
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise _Unusable(f"{left_out}: {file} is larger than 16 MiB, which is no list of symbols.")
        return tuple(of_text(decoded(data, name=str(file))))
    except OSError as error:
        raise _Unusable(
            f"{left_out}: {file.absolute()} can't be read ({error.strerror}). Its symbols are not asked for until the file is "
            f"there again; what is stored stays."
        ) from None
    except NoTextError as error:
        raise _Unusable(f"{left_out}: {error}.") from None


def _shown(text: str) -> str:
    return printable(text, most=_MOST_SHOWN)
