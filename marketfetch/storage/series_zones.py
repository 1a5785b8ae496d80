"""The zone of each series, from which the view `bars` counts the date of a bar.

Postgres has the offsets of zones itself. SQLite has none: a table has them, of each zone that a series has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.zone_offsets import zone_offsets

if TYPE_CHECKING:
    from marketfetch.storage.store import Store


def set_zones(execute: Execute, spelling: Spelling, zones: Mapping[int, str]) -> None:
    """Sets the zone of each series, given by its number, within a transaction.

    A zone that is known to no clock of the database is left out: with it, the view could not be read.
    """
    sql = _sql(spelling)
    # In one order, so that two writers can't deadlock.
    for zone in sorted(set(zones.values())):
        if _is_known(execute, sql, zone):
            numbers = sorted(number for number, its_zone in zones.items() if its_zone == zone)
            execute(sql["set_zone"], zone, json.dumps(numbers))


def fill_zones(store: Store, zone_of: Callable[[str, str, str], str | None]) -> int:
    """Gives each series without a zone the one that `zone_of` returns for (provider, symbol, timespan); how many.

    Writes the offsets in SQLite anew, as the time zone data of this machine has them. Raises StoreError.
    """
    from marketfetch.storage.stored_series import series_without_zone

    sql = _sql(store.database.spelling)
    asked = {one.number: zone_of(one.provider, one.symbol, one.timespan) for one in series_without_zone(store)}
    found = {number: zone for number, zone in asked.items() if zone}

    def fill(execute: Execute) -> None:
        for (zone,) in execute(sql["zones"]) if "zones" in sql else ():
            _write_offsets(execute, sql, zone)
        set_zones(execute, store.database.spelling, found)

    if found or "zones" in sql:
        store.database.change(fill)
    return len(asked) - len(series_without_zone(store))


def _sql(spelling: Spelling) -> Mapping[str, str]:
    return statements(f"{spelling.folder}/zones.sql", spelling)


def _is_known(execute: Execute, sql: Mapping[str, str], zone: str) -> bool:
    """True if the database can count with the zone; SQLite learns its offsets where they are new."""
    return bool(execute(sql["knows"], zone)) or ("add_offset" in sql and _write_offsets(execute, sql, zone))


def _write_offsets(execute: Execute, sql: Mapping[str, str], zone: str) -> bool:
    """Writes the offsets of a zone in the place of older ones. False for a zone that is not known on this machine."""
    if not (offsets := zone_offsets(zone)):
        return False
    execute(sql["forget_offsets"], zone)
    for starts_ms, seconds in offsets:
        execute(sql["add_offset"], zone, starts_ms, seconds)
    return True
