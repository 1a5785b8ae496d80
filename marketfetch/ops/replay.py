"""Validates and stores archived replies again, without a call; or shows how what is stored would differ."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from marketfetch import connections, vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError, UnavailableError, WrongValueError
from marketfetch.local import sandbox_note
from marketfetch.ops.reply_archive import ArchivedReply, DamagedArchive, ReplyArchive
from marketfetch.ops.reply_origin import matches
from marketfetch.phrases import counted
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.replaying import Difference, difference
from marketfetch.storage.store import Store, StoreError
from marketfetch.vendors import reading
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.errors import FetchError, PlanError, TooManyRejects
from marketfetch.vendors.partial_bars import marked
from marketfetch.vendors.times import UTC_ZONE, day_start_ms

_MOST_NAMED: Final = 100
_DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class Replayed:
    """What a replay has seen. Rows are bars: `new` are not stored, `changed` are stored with other values by no later call.

    `rejected` counts the replies' rejects by reason; `gone` names the stored bars (vendor, symbol, timespan, adjustment, Unix
    ms) that came with one of the replies and fail a check now: they stay, `gone_total` counts them. `errors` counts replies
    that are no rows by the class of the error. `records`: rows of lists such as splits, stored again where a list is one page.
    `damaged`: sentences about files that can't be used.
    """

    place: str
    replies: int = 0
    rows: int = 0
    records: int = 0
    new: int = 0
    changed: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    gone: list[tuple[str, str, str, str, int]] = field(default_factory=list)
    gone_total: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)


def replay(provider: str | None = None, *, since: date | None = None, dry_run: bool = False) -> Replayed:
    """Reads the archive in the order of the calls. With `dry_run` nothing is written, and no table is made.

    Each reply whose bars differ from the stored ones gets a ledger row of its own, without a call and without a job, so that
    a bar names what brought it. A bar that a later call has brought stays. Raises BadRequestError and UnavailableError.
    """
    url = get_settings().archive
    if url is None:
        raise BadRequestError("There is no archive of replies: name its place with the setting archive, and fetch.")
    _must_be_real(url.get_secret_value())
    if provider is not None and provider not in vendors.names():
        raise WrongValueError(vendors.unknown(provider))
    archive = ReplyArchive(url.get_secret_value())
    done = Replayed(archive.shown)
    try:
        store = connections.recorded() if dry_run else connections.store()
        for entry, page, series, covered in _read_again(archive, provider, since, done):
            done.rows += sum(len(one.bars) for one in series)
            done.rejected.update(page.reject_counts)
            found = [(one, _differs(store, one, entry, done)) for one in series]
            done.records += len(page.records)
            # A page of a longer list, or one with rejects, would make the rows that it lacks look like gone ones.
            whole = not (entry.request.page or page.next or page.rejected)
            records = page.records if whole and len(page.records) else None
            if not dry_run:
                _store(store, entry, [replace(one, bars=_both(differs)) for one, differs in found], covered, records)
    except StoreError as error:
        raise UnavailableError(f"The replies can't be stored again: {error}.") from error
    return done


def _must_be_real(url: str) -> None:
    """Raises BadRequestError for the archive of a sandbox that does not run: its replies would be stored as real bars."""
    home = sandbox_note.home(get_settings().state_dir)
    if not sandbox_note.find(get_settings().state_dir) and home.resolve() in Path(url).resolve().parents:
        raise BadRequestError(
            "That archive is the sandbox's own, whose bars are invented: `marketfetch up --sandbox` starts it, and "
            "`marketfetch replay` beside it stores them in its database. Correct the setting archive for real ones."
        )


def _read_again(
    archive: ReplyArchive, provider: str | None, since: date | None, done: Replayed
) -> Iterator[tuple[ArchivedReply, Page, Sequence[BarSeries], tuple[Covered, ...]]]:
    """The replies that hold rows, read as a worker reads them, with what they cover; the others are counted."""
    settings = get_settings()
    invented = 0
    for entry in archive.entries(provider, since=since, damaged=done.damaged):
        if entry.request.provider in vendors.names() and not matches(entry.origin, options(entry.request.provider)):
            invented += 1
            continue
        done.replies += 1
        refused = False
        try:
            vendor, ours = vendors.vendor(entry.request.provider), options(entry.request.provider)
            page = reading.read(
                entry.request,
                archive.reply(entry),
                ours,
                max_reject_share=settings.max_reject_share,
                fewest_judged=settings.reject_share_min_rows,
                secrets=settings.secrets(),
                now=datetime.fromtimestamp(entry.fetched_ms / 1000, UTC),
            )
        except TooManyRejects as error:
            page = error.page or Page()
            done.errors["TooManyRejects"] += 1
            refused = True
        except (FetchError, PlanError) as error:
            done.errors[type(error).__name__] += 1
            continue
        except (DamagedArchive, vendors.UnknownVendor) as error:
            done.damaged.append(str(error))
            continue
        at_ms = entry.fetched_ms
        # A request of several pages covers when all of them are stored, which a replay of one reply does not know.
        whole = not (refused or entry.request.page or page.next)
        covered = covered_by(entry.request, vendor, ours, called_at_ms=at_ms, page=page) if whole else ()
        finality, zone = vendor.finality_of(entry.request, ours), vendor.zone(entry.request, ours)
        yield entry, page, marked(page.series, finality, zone=zone, called_at_ms=at_ms), covered
    if invented:
        done.damaged.append(
            f"{counted(invented, 'reply', 'replies')} of the archive came from this machine, as a sandbox's do, and the "
            "vendors are real here: none of them was stored. Keep the archive of a sandbox apart (setting archive)."
        )


def _differs(store: Store, series: BarSeries, entry: ArchivedReply, done: Replayed) -> Difference:
    asked = _asked(entry.request, series)
    found = difference(store, series, request_id=entry.request.id, fetched_ms=entry.fetched_ms, asked=asked)
    done.new += len(found.new)
    done.changed += len(found.changed)
    done.gone_total += len(found.gone)
    key = (series.provider, series.symbol, series.timespan, series.adjustment)
    done.gone += [(*key, moment) for moment in found.gone[: _MOST_NAMED - len(done.gone)]]
    return found


def _asked(request: Request, series: BarSeries) -> tuple[int, int]:
    """The first and last moment that the reply can have, with a week on both sides for weeks, months and zones."""
    if request.start is None or request.end is None or request.page or request.cursor:
        return (int(series.bars.ts[0]), int(series.bars.ts[-1])) if len(series.bars) else (0, -1)
    first, last = request.start - timedelta(days=31), request.end + timedelta(days=8)
    return day_start_ms(first, UTC_ZONE), day_start_ms(last, UTC_ZONE) + _DAY_MS


def _both(found: Difference) -> BarColumns:
    if not len(found.changed):
        return found.new
    return found.changed if not len(found.new) else _merged(found.new, found.changed)


def _merged(a: BarColumns, b: BarColumns) -> BarColumns:
    import numpy as np

    from marketfetch.schemas.bars import FLOAT_COLUMNS

    floats = {name: np.concatenate((getattr(a, name), getattr(b, name))) for name in FLOAT_COLUMNS}
    both = BarColumns.build(np.concatenate((a.ts, b.ts)), partial=np.concatenate((a.partial, b.partial)), **floats)
    return both.take(np.argsort(both.ts, kind="stable"))


def _store(
    store: Store, entry: ArchivedReply, series: list[BarSeries], covered: tuple[Covered, ...], records: Records | None
) -> None:
    """Stores what differs, and what the reply covers. The ledger row is of this replay: the request keeps its own."""
    filled = tuple(one for one in series if len(one.bars))
    if not filled and records is None:
        return
    request = entry.request
    name = f"replay-{sha256(f'{request.id} {entry.fetched_ms} {entry.body} {time.time_ns()}'.encode()).hexdigest()[:20]}"
    row = LedgerRow(
        request_id=name,
        root=name,
        page=0,
        provider=request.provider,
        symbol=request.symbol,
        outcome="stored",
        reason=f"the archived reply to request {request.id}, stored again",
        rows=sum(len(one.bars) for one in filled) + len(records or ()),
        called_at_ms=entry.fetched_ms,
    )
    store.store([Batch(ledger=row, series=filled, covered=covered, records=records)])
