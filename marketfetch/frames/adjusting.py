"""A question for adjusted prices: what is asked, and the splits and dividends that answer it.

Prices that are wrong without a sign are the worst answer, so what is missing is an error with the command that fetches it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from marketfetch.exceptions import AdjustmentWarning, BadRequestError
from marketfetch.phrases import joined
from marketfetch.printable import printable
from marketfetch.schemas import day_words
from marketfetch.schemas.coverage import Days, covered_days
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.storage.store import Store
from marketfetch.storage.stored_actions import StoredAction, action_lists, stored_actions
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.storage.vendor_adjusted import stale_series
from marketfetch.suggestions import did_you_mean

if TYPE_CHECKING:
    from marketfetch.frames.actions import Actions

ADJUSTS: Final = ("none", "splits", "all")
_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MOST_NAMED: Final = 5
_LONG: Final = ("1w", "1mo")


@dataclass(frozen=True, slots=True)
class Adjust:
    """Prices adjusted for `splits`, or for dividends too (`all`), by what was known at the end of `as_of` (UTC)."""

    to: Literal["splits", "all"]
    as_of: date

    @property
    def adjustment(self) -> str:
        """What such prices are called where a vendor has adjusted them."""
        return "split" if self.to == "splits" else "split_dividend"

    @property
    def datasets(self) -> tuple[Literal["splits", "dividends"], ...]:
        return ("splits",) if self.to == "splits" else ("splits", "dividends")


def read_adjust(adjust: Any, as_of: Any, adjustment: str | None) -> tuple[Adjust | None, str | None]:
    """What is asked, None for prices as they are stored; and the adjustment of the series to read. Raises BadRequestError."""
    if adjust is None:
        if as_of is not None:
            raise BadRequestError("as_of says what was known when prices are adjusted: name adjust too, splits or all.")
        return None, adjustment
    if adjust not in ADJUSTS:
        meant = did_you_mean(str(adjust), ADJUSTS, as_written="{!r}")
        raise BadRequestError(f"There is no adjust {adjust!r}. {meant}{' ' if meant else ''}There are {', '.join(ADJUSTS)}.")
    if adjustment not in (None, "raw"):
        raise BadRequestError(f"adjust reads raw prices, and the adjustment {adjustment} is the vendor's own: leave one out.")
    now = datetime.now(UTC)
    day = now.date() if as_of is None else day_words.day("as_of", as_of, now)
    if day > now.date():
        raise BadRequestError(f"What will be known on {day} is not known today: ask for an as_of that has passed.")
    return (None if adjust == "none" else Adjust(adjust, day)), "raw"


@dataclass(frozen=True, slots=True)
class KnownActions:
    """What counts, by the places of the series, and when the latest list of each was fetched (Unix ms)."""

    splits: Actions
    dividends: Actions | None
    fetched_at: tuple[int, ...]


def known_actions(store: Store, series: Sequence[StoredSeries], adjust: Adjust) -> KnownActions:
    """The splits, and for `all` the dividends, of these series. Raises BadRequestError where they can't be known; StoreError.

    They are of the series' own vendor, or, where that one has no list of the symbol, of another one: with a warning.
    """
    from marketfetch.frames.actions import EPOCH, Actions
    from marketfetch.frames.doubtful_actions import kind_of

    for one in series:
        if one.timespan in _LONG:
            raise BadRequestError(
                f"A bar of {one.timespan} may hold days before and after a split: adjust daily bars and group them."
            )
    symbols = sorted({one.symbol for one in series})
    lists = action_lists(store, symbols)
    found: dict[str, Actions] = {}
    fetched = [2**62] * len(series)
    sources = {dataset: [_source(lists, dataset, one) for one in series] for dataset in adjust.datasets}
    _refuse_missing(series, sources)
    _tell_of_others(series, sources)
    for dataset, source in sources.items():
        rows: dict[tuple[str, str], list[StoredAction]] = {}
        for row in stored_actions(store, dataset, symbols):
            rows.setdefault((row.provider, row.symbol), []).append(row)
        picked = []
        covered: dict[str | None, list[Days]] = {}
        for n, (one, provider) in enumerate(zip(series, source, strict=True)):
            of_one = rows.get((provider or "", one.symbol), [])
            _refuse_unknown(one, of_one, dataset, adjust)
            if provider not in covered:
                covered[provider] = covered_days(store.covered(provider or "", dataset, "1d", "raw", ()))
            listed_ms = _fetched_ms(lists, provider or "", dataset, one.symbol)
            fetched[n] = min(fetched[n], _known_ms(listed_ms, covered[provider]))
            picked += [
                (n, (date.fromisoformat(row.ex_date) - EPOCH).days, row.value, row.first_seen, row.gone_at, kind)
                for row in of_one
                for kind in [kind_of(row.kind, row.currency)]
            ]
        found[dataset] = Actions.of(picked).known_on(adjust.as_of)
    return KnownActions(found["splits"], found.get("dividends"), tuple(fetched))


def tell(sentences: Iterable[str]) -> None:
    """Warns of what is doubtful about adjusted prices: the first sentences, and how many more there are."""
    said = list(dict.fromkeys(sentences))
    for sentence in said[:_MOST_NAMED]:
        warnings.warn(sentence, AdjustmentWarning, stacklevel=4)
    if len(said) > _MOST_NAMED:
        warnings.warn(f"{len(said) - _MOST_NAMED:,} more doubts about adjusted prices.", AdjustmentWarning, stacklevel=4)


def tell_of_stale(store: Store, series: Sequence[StoredSeries]) -> None:
    """Warns of series that their vendor adjusted before an action that is known now. Raises StoreError."""
    ours = {(one.provider, one.symbol, one.timespan, one.adjustment) for one in series}
    tell(
        f"{one.symbol}: these {one.adjustment} prices of {one.provider} are stale: it {one.why}. The next update asks for them "
        f"again (`marketfetch check` says how it is done at once), or read raw bars with adjust."
        for one in stale_series(store, time.time_ns() // 1_000_000, sorted({one.symbol for one in series}))
        if (one.provider, one.symbol, one.timespan, one.adjustment) in ours
    )


def _source(lists: dict[tuple[str, str, str], int], dataset: str, one: StoredSeries) -> str | None:
    for symbol in (one.symbol, WHOLE_MARKET):
        if (one.provider, dataset, symbol) in lists:
            return one.provider
    of_symbol = (provider for provider, name, symbol in lists if name == dataset and symbol in (one.symbol, WHOLE_MARKET))
    return min(of_symbol, default=None)


def _fetched_ms(lists: dict[tuple[str, str, str], int], provider: str, dataset: str, symbol: str) -> int:
    """The latest list that has this symbol: its own, or the one of all symbols."""
    return max(lists.get((provider, dataset, one), 0) for one in (symbol, WHOLE_MARKET))


def _known_ms(listed_ms: int, covered: Sequence[Days]) -> int:
    """Until when the actions are known: the list's call, and the days behind it that were asked for of all symbols.

    `covered` are the days of all symbols. A day that was asked for has the actions of its date, whenever that was.
    """
    day = _EPOCH + listed_ms // _DAY_MS
    last = max((one.last for one in covered if one.first <= day + 1 and one.last >= day), default=day)
    return listed_ms if last == day else (last - _EPOCH) * _DAY_MS


def _refuse_missing(series: Sequence[StoredSeries], sources: Mapping[Literal["splits", "dividends"], list[str | None]]) -> None:
    missing = {dataset: [one for one, name in zip(series, of, strict=True) if name is None] for dataset, of in sources.items()}
    lacking = {dataset: of for dataset, of in missing.items() if of}
    if not lacking:
        return
    (dataset, of), *_ = lacking.items()
    words = [printable(one.symbol, most=40) for one in of[:_MOST_NAMED]]
    more = f" and {len(of) - _MOST_NAMED:,} more" if len(of) > _MOST_NAMED else ""
    raise BadRequestError(
        f"The {joined(list(lacking))} of {', '.join(words)}{more} were never fetched, so these prices can't be adjusted: run "
        f"`marketfetch fetch {of[0].provider} {' '.join(words)} --dataset {dataset}`"
        + (f", then the same with --dataset {list(lacking)[1]}." if len(lacking) > 1 else ".")
    )


def _tell_of_others(series: Sequence[StoredSeries], sources: Mapping[Literal["splits", "dividends"], list[str | None]]) -> None:
    tell(
        f"{one.symbol}: {one.provider} has no list of {dataset} here, so those of {name} are used."
        for dataset, of in sources.items()
        for one, name in zip(series, of, strict=True)
        if name != one.provider
    )


def _refuse_unknown(one: StoredSeries, rows: Sequence[StoredAction], dataset: str, adjust: Adjust) -> None:
    """Refuses a day before the first list was fetched: what was known then can't be said."""
    from marketfetch.frames.actions import EPOCH

    end_ms = ((adjust.as_of - EPOCH).days + 1) * _DAY_MS
    first = min((row.first_seen for row in rows), default=0)
    if first >= end_ms and any(row.ex_date <= adjust.as_of.isoformat() for row in rows):
        since = datetime.fromtimestamp(first / 1000, UTC).date()
        raise BadRequestError(
            f"The {dataset} of {printable(one.symbol, most=40)} are known here since {since}, so what was known on "
            f"{adjust.as_of} can't be said: ask for an as_of of {since} or later."
        )
