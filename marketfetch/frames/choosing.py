"""Which stored series a question means. What is ambiguous, unknown or stored otherwise ends in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError, WrongValueError
from marketfetch.phrases import joined
from marketfetch.schemas.timespans import ADJUSTMENTS, TIMESPANS
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.suggestions import did_you_mean

_MOST_NAMED: Final = 5
_MOST_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked. None of `symbols`, `timespan`, `provider` or `adjustment` leaves it open.

    `optional` are the symbols of universes: what is not stored of them is left out.
    `written` is how an argument is written where the question was asked: "{name}={value!r}", or "--{name} {value}".
    """

    symbols: tuple[str, ...] | None
    timespan: str | None
    provider: str | None = None
    adjustment: str | None = None
    written: str = "{name}={value!r}"
    optional: frozenset[str] = frozenset()

    def option(self, name: str, value: str) -> str:
        return self.written.format(name=name, value=value)


def wish(
    symbols: str | Sequence[str] | None,
    *,
    timespan: str | None,
    provider: str | None,
    adjustment: str | None,
    written: str,
    told: Callable[[str], object] | None = None,
) -> Wish:
    """The arguments of a question, checked. Each symbol counts once; a universe (`@watchlist`) stands for its symbols.

    `told` hears what of a universe can't be used, else the log. Raises BadRequestError.
    """
    names = (symbols,) if isinstance(symbols, str) else symbols
    if names is not None and (
        not isinstance(names, Iterable) or not (names := tuple(names)) or not all(isinstance(one, str) and one for one in names)
    ):
        raise BadRequestError(f"The symbols are a word or a list of words, such as ['AAPL', 'MSFT'] (got {symbols!r}).")
    for name, value, known in (("timespan", timespan, TIMESPANS), ("adjustment", adjustment, ADJUSTMENTS)):
        if value is not None and value not in known:
            meant = did_you_mean(str(value), known, as_written="{!r}")
            raise BadRequestError(f"There is no {name} {value!r}. {meant}{' ' if meant else ''}There are {', '.join(known)}.")
    if provider is not None and not isinstance(provider, str):
        raise BadRequestError(f"The provider is the name of a vendor (got {provider!r}).")
    optional: frozenset[str] = frozenset()
    if names is not None and any(one.startswith("@") for one in names):
        from marketfetch.ops.universes import to_read  # reads settings, which a question without it does not need

        named = to_read(names, told)
        names, optional = named.symbols, named.optional
    return Wish(None if names is None else tuple(dict.fromkeys(names)), timespan, provider, adjustment, written, optional)


def matching(asked: Wish, stored: Sequence[StoredSeries], known: Callable[[], Sequence[str]]) -> list[StoredSeries]:
    """The stored series that are asked for, at least one of each symbol that is not optional.

    `stored` are all series of the asked symbols; `known` returns every symbol that is stored. Raises BadRequestError.
    """
    of_symbols: dict[str, list[StoredSeries]] = {}
    for one in stored:
        of_symbols.setdefault(one.symbol, []).append(one)
    if asked.provider and asked.provider not in vendors.names() and all(one.provider != asked.provider for one in stored):
        raise WrongValueError(vendors.unknown(asked.provider))
    unknown = [name for name in asked.symbols or () if name not in of_symbols]
    if unknown and (not of_symbols or not asked.optional.issuperset(unknown)):
        raise BadRequestError(_unknown([one for one in unknown if one not in asked.optional] or unknown, known()))
    found = [one for one in stored if _fits(asked, one)]
    fitting = {one.symbol for one in found}
    if asked.symbols is not None:
        for name in asked.symbols:
            if name not in fitting and name in of_symbols and (name not in asked.optional or not found):
                raise BadRequestError(_otherwise(asked, name, of_symbols[name]))
    elif not found:
        raise BadRequestError(
            f"No {_described(asked)}bars are stored." if stored else "No bars are stored yet: begin with `marketfetch fetch`."
        )
    return found


def one_of_each(asked: Wish, found: Sequence[StoredSeries]) -> list[StoredSeries]:
    """The series of `matching`, where each symbol has one. Raises BadRequestError, which names those of a symbol with more."""
    of_symbols: dict[str, list[StoredSeries]] = {}
    for one in found:
        of_symbols.setdefault(one.symbol, []).append(one)
    for name, several in of_symbols.items():
        if len(several) == 1:
            continue
        fields = [field for field in ("provider", "adjustment") if len({getattr(one, field) for one in several}) > 1]
        words = _listed([f"{one.provider} {one.adjustment}" for one in several])
        between = " " if asked.written.startswith("--") else ", "
        example = between.join(asked.option(field, getattr(several[0], field)) for field in fields)
        raise BadRequestError(
            f"{_shown(name)} has {asked.timespan} bars of several series: {words}. Write which one, such as {example}."
        )
    return list(found)


def _fits(asked: Wish, one: StoredSeries) -> bool:
    return all(
        value is None or value == found
        for value, found in (
            (asked.timespan, one.timespan),
            (asked.provider, one.provider),
            (asked.adjustment, one.adjustment),
        )
    )


def _unknown(names: Sequence[str], known: Sequence[str]) -> str:
    if not known:
        return f"No bars of {_listed(names)} are stored, nor of any other symbol: begin with `marketfetch fetch`."
    first = names[0]
    exactly = [one for one in known if one.casefold() == first.casefold()]
    meant = f"Did you mean {exactly[0]}?" if exactly else did_you_mean(first, known)
    words = f"No bars of {_listed(names)} are stored. {meant}".rstrip()
    return f"{words} Stored are {_listed(known)}. `marketfetch fetch PROVIDER {_shown(first)}` fetches it, if a vendor has it."


def _otherwise(asked: Wish, name: str, stored: Sequence[StoredSeries]) -> str:
    fields = [
        field
        for field in ("timespan", "provider", "adjustment")
        if getattr(asked, field) is not None and getattr(asked, field) != getattr(stored[0], field)
    ]
    words = _listed([f"{one.provider} {one.timespan} {one.adjustment}" for one in stored])
    example = ", ".join(asked.option(field, getattr(stored[0], field)) for field in fields)
    return (
        f"No {_described(asked)}bars of {_shown(name)} are stored; stored are {words}. Write {example}, or fetch them with "
        f"`marketfetch fetch {asked.provider or stored[0].provider} {_shown(name)} --timespan {asked.timespan or '1d'}`."
    )


def _described(asked: Wish) -> str:
    return "".join(f"{one} " for one in (asked.provider, asked.timespan, asked.adjustment) if one)


def _listed(words: Sequence[str]) -> str:
    shown = [_shown(one) for one in words[:_MOST_NAMED]]
    if len(words) > _MOST_NAMED:
        return f"{', '.join(shown)} and {len(words) - _MOST_NAMED:,} more"
    return joined(shown)


def _shown(text: str) -> str:
    from marketfetch.printable import printable

    return printable(text, most=_MOST_SHOWN)
