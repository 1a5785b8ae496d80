"""The months of the archive of replies: how large each is, their removal, and a trial of the place."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from marketfetch.exceptions import BadRequestError, MarketfetchError
from marketfetch.extras import need
from marketfetch.ops.file_place import FilePlace
from marketfetch.ops.finding import Finding
from marketfetch.settings import get_settings, origin

#: A trial takes a tenth of a second; a storage service that does not answer is the reason for a limit.
TRIAL_S: Final = 10.0
SILENT: Final = "Look at the storage service that the setting archive names: replies are stored, and not archived meanwhile."
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class ArchivedMonth:
    """A month (UTC, "2024-05"): how many replies of each vendor, and the bytes of its bodies and lines as they are kept."""

    month: str
    replies: dict[str, int]
    size: int


@dataclass(slots=True)
class Months:
    """The months of an archive, the earliest first. `place` is without a password."""

    place: str
    months: list[ArchivedMonth] = field(default_factory=list)

    @property
    def replies(self) -> int:
        return sum(sum(one.replies.values()) for one in self.months)

    @property
    def size(self) -> int:
        return sum(one.size for one in self.months)


def months() -> Months:
    """What is in the archive; lists every file of it. Raises BadRequestError without the setting, UnavailableError."""
    place = _place()
    return _among(place, _names(place))


def purge(*, older_than: timedelta, dry_run: bool = False, today: date | None = None) -> Months:
    """Removes the months of which every day is longer ago; returns them. With `dry_run` nothing is removed.

    Safe while workers write, since they write to the month of their calls. A purge that is killed has removed a part, and the
    next one removes the rest. Raises BadRequestError without the setting, UnavailableError.
    """
    first_kept = (today or datetime.now(UTC).date()) - older_than
    place = _place()
    old = [name for name in _names(place) if name < f"{first_kept:%Y-%m}"]
    found = _among(place, old)
    if dry_run:
        return found
    for name in old:
        for vendor in place.folders("index"):
            place.remove_folder(f"index/{vendor}/{name}")  # first: no line is left without its body
        place.remove_folder(f"objects/{name}")
    return found


def of_archive() -> Iterator[Finding]:
    """Writes an object, reads it back and deletes it. Nothing where there is no archive."""
    if get_settings().archive is None:
        return
    name, data = f"_trial-{uuid.uuid4().hex}", b"a trial of marketfetch check"
    step = "opened"
    try:
        place = _place()
        is_new = place.is_new_folder()
        step = "written"
        place.write_bytes(name, data)
        step = "read"
        same = place.read_bytes(name) == data
        step = "deleted"
        place.remove([name])
        if is_new:
            place.remove_empty_folder()
    except MarketfetchError as error:
        # Replies are stored all the same, so it stops no fetch.
        what = "The archive of replies can't be opened" if step == "opened" else f"An archived reply can't be {step}"
        sentence = f"{what}: {str(error).rstrip('.')} ({origin('archive')})."
        yield Finding(level="warning", subject="archive", sentence=sentence)
        return
    if not same:
        sentence = f"{place.shown} has returned other bytes than were written. Replies that are kept there may be damaged."
        yield Finding(level="warning", subject="archive", sentence=sentence)
        return
    yield Finding(level="ok", subject="archive", sentence=f"{place.shown}: an object was written, read and deleted.")


def _place() -> FilePlace:
    url = get_settings().archive
    if url is None:
        raise BadRequestError("There is no archive of replies: name its place with the setting archive, and fetch.")
    need("fsspec", for_what="The archive of replies (setting `archive`)")
    return FilePlace(url.get_secret_value(), then="Setting: archive.")


def _names(place: FilePlace) -> list[str]:
    found = {*place.folders("objects"), *(one for vendor in place.folders("index") for one in place.folders(f"index/{vendor}"))}
    return sorted(filter(_MONTH.fullmatch, found))


def _among(place: FilePlace, names: list[str]) -> Months:
    found = Months(place.shown)
    for name in names:
        lines = {vendor: place.sizes(f"index/{vendor}/{name}") for vendor in place.folders("index")}
        replies = {vendor: sum(one.endswith(".json") for one in sizes) for vendor, sizes in lines.items() if sizes}
        size = sum(sum(sizes.values()) for sizes in (*lines.values(), place.sizes(f"objects/{name}")))
        found.months.append(ArchivedMonth(name, replies, size))
    return found
