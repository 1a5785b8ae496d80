"""Universes: `@name` stands for many symbols, wherever symbols are given.

    [universes]
    watchlist = ["AAPL", "MSFT"]
    sp500 = "lists/sp500.txt"      # a line each, or a CSV with a column symbol or ticker
    us-stocks = {listed = "acme", kind = ["CS"]}  # what is listed now, by the stored list of the dataset symbols

`@lists/sp500.txt` names a file without a setting. A universe is read when it is used, so a job has the symbols of its moment.
One that can't be read costs its own symbols only: a sentence says so, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketfetch import connections, vendors
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.lazy_logger import logger
from marketfetch.ops.symbol_words import NoTextError, decoded, of_text
from marketfetch.printable import printable
from marketfetch.schemas.symbol_text import problem
from marketfetch.sections import ListedUniverse, Universe
from marketfetch.settings import config_path, reread
from marketfetch.storage.listed_symbols import listed_symbols, words_of_list
from marketfetch.storage.store import NoTables, StoreError
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.dataset_names import vendors_with

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


def resolved(words: Sequence[str], *, known: Mapping[str, Universe] | None = None) -> Resolved:
    """The symbols that these words stand for, in their order. Words without a universe stay as they are.

    `known` are the universes, None for those of the settings as they are now. Raises BadRequestError for an unknown universe,
    and where no symbol is left.
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
            found = _of_universe(word.removeprefix(AT), reread().universes if known is None else known)
        except _Unusable as error:
            notes.append(str(error))
            continue
        wrong = {symbol: why for symbol in found if (why := problem(symbol) or _nested(symbol))}
        if wrong:
            more = f" So are {len(wrong) - 1:,} more." if len(wrong) > 1 else ""
            notes.append(f"{_shown(word)}: {next(iter(wrong.values()))}, so it is left out.{more}")
        symbols += [symbol for symbol in found if symbol not in wrong]
    if not symbols:
        raise BadRequestError(" ".join(notes) or f"The universe {_shown(words[0])} has no symbol: name at least one.")
    return Resolved(tuple(dict.fromkeys(symbols)), tuple(notes))


def _nested(symbol: str) -> str:
    """Why the name of a universe is no symbol of another one, as a sentence; "" for a symbol."""
    return f"{_shown(symbol)} is a universe itself, and a universe has symbols alone" if symbol.startswith(AT) else ""


@dataclass(frozen=True, slots=True)
class Named:
    """Symbols to read, each once. `optional` came with universes alone: what is not stored of them is left out."""

    symbols: tuple[str, ...]
    optional: frozenset[str] = frozenset()


def to_read(words: Sequence[str], told: Callable[[str], object] | None = None) -> Named:
    """The symbols that these words stand for where stored rows are read. `told` hears the notes, else the log.

    Raises BadRequestError, as `resolved` does.
    """
    if not names_universe(words):
        return Named(tuple(words))
    found = resolved(words)
    for note in found.notes:
        told(note) if told else log.warning("universe", note=note)
    return Named(found.symbols, frozenset(found.symbols) - {one for one in words if not one.startswith(AT)})


def names_universe(words: object) -> bool:
    """True for a list of words, of which one names a universe."""
    return (
        isinstance(words, Iterable)
        and not isinstance(words, str)
        and all(isinstance(one, str) for one in words)
        and any(one.startswith(AT) for one in words)
    )


def _of_universe(name: str, known: Mapping[str, Universe]) -> tuple[str, ...]:
    """Raises BadRequestError for an unknown name, _Unusable for a file that can't be read."""
    if name in known:
        given = known[name]
        if isinstance(given, ListedUniverse):
            return _listed(name, given)
        return _of_file(name, given) if isinstance(given, str) else tuple(given)
    if "." in name or "/" in name:
        return _of_file(name, name)
    meant = did_you_mean(name, known, as_written="@{}")
    there_are = f"There are {', '.join(f'@{one}' for one in known)}." if known else "The settings have none."
    raise BadRequestError(
        f"There is no universe {_shown(AT + name)}. {meant}{' ' if meant else ''}{there_are} Add it to [universes] in "
        f"marketfetch.toml, or name a file of symbols, such as @{_shown(name)}.txt."
    )


def _listed(name: str, given: ListedUniverse) -> tuple[str, ...]:
    """A new listing is among them, and a symbol that is delisted no more, once the list has been fetched again."""
    left_out = f"The universe {_shown(AT + name)} was left out"
    if given.listed not in vendors.names():
        raise _Unusable(f"{left_out}: {vendors.unknown(given.listed)}")
    if given.listed not in (having := vendors_with("symbols")):
        other = f'Write listed = "{having[0]}", or name a file.' if having else "Name a file."
        raise _Unusable(f"{left_out}: {given.listed} has no list of its symbols. {other}")
    try:
        found = listed_symbols(connections.recorded(), given.listed, kinds=given.kind, exchanges=given.exchange)
    except NoTables:
        found = []
    except StoreError as error:
        raise UnavailableError(f"The universe {_shown(AT + name)} can't be read: {error}.") from error
    if not found:
        among = _words_of_list(given)
        if among:
            raise _Unusable(f"{left_out}: the list of {given.listed} has no symbol of these kinds and exchanges. {among}")
        raise _Unusable(
            f"{left_out}: the database lists no symbol of {given.listed}. "
            f"`marketfetch fetch {given.listed} --dataset symbols` fetches the list."
        )
    return tuple(found)


def _words_of_list(given: ListedUniverse) -> str:
    """Which kinds and exchanges the stored list has, as a sentence; "" where there is no list."""
    try:
        kinds, exchanges = words_of_list(connections.recorded(), given.listed)
    except StoreError:
        return ""
    if not kinds and not exchanges:
        return ""
    unknown = [one for one in given.kind if one not in kinds] + [one for one in given.exchange if one not in exchanges]
    wrong = f"It does not know {_shown(unknown[0])}. " if unknown else ""
    return f"{wrong}Its kinds are {', '.join(kinds) or 'none'}, its exchanges {', '.join(exchanges) or 'none'}."


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
        # A file that is named on the spot is a matter of this moment; one of the settings is read again by every later job.
        later = "" if name == path else " Its symbols are not asked for until the file is there again; what is stored stays."
        raise _Unusable(f"{left_out}: {file.absolute()} can't be read ({error.strerror}).{later}") from None
    except NoTextError as error:
        raise _Unusable(f"{left_out}: {error}.") from None


def _shown(text: str) -> str:
    return printable(text, most=_MOST_SHOWN)
