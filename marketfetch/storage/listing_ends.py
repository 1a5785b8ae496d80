"""What vendors' stored lists say of symbols that are not listed any more: since when, and which symbol has their id now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class ListingEnd:
    """A symbol that no latest list has as active, with the vendor's `name` of it.

    `delisted`: it stands in a list of what is delisted, with `last_day` (None where that list has no day). Else a list of
    active symbols lacks it since `missing_since`. `renamed_to` and `new_name` are the symbol, and its name, that has the id now
    which the vendor gave to this one; "" for none.
    """

    provider: str
    symbol: str
    name: str
    delisted: bool
    last_day: date | None
    missing_since: date | None
    renamed_to: str = ""
    new_name: str = ""


def listing_ends(store: Store, symbols: Iterable[str]) -> dict[tuple[str, str], ListingEnd]:
    """By vendor and symbol, for those of these symbols that no latest list has as active. Raises StoreError."""
    named = sorted(set(symbols))
    if not named:
        return {}
    sql = statements("sql/listed_symbols.sql", store.database.spelling)
    rows = store.database.read(sql["of_symbols"], store.database.listing(named))
    active = {(provider, symbol) for provider, symbol, status, gone_ms, *_ in rows if status == "active" and gone_ms is None}
    over = [row for row in rows if row[:2] not in active and (row[2] == "delisted" or row[3] is not None)]
    ids = sorted({row[6] for row in over if row[6]})
    now: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for provider, vendor_id, symbol, name in store.database.read(sql["with_ids"], store.database.listing(ids)) if ids else ():
        now.setdefault((provider, vendor_id), []).append((symbol, name))
    found: dict[tuple[str, str], ListingEnd] = {}
    # The last one counts: of what is delisted, which has a day, the latest.
    ordered = sorted(over, key=lambda row: (row[2] == "delisted", row[4] or ""))
    for provider, symbol, status, gone_ms, delisted, name, vendor_id in ordered:
        others = [one for one in now.get((provider, vendor_id), ()) if one[0] != symbol]
        renamed, new_name = others[0] if len(others) == 1 else ("", "")
        found[provider, symbol] = ListingEnd(
            provider=provider,
            symbol=symbol,
            name=name,
            delisted=status == "delisted",
            last_day=date.fromisoformat(delisted) if delisted else None,
            missing_since=None if gone_ms is None else datetime.fromtimestamp(gone_ms / 1000, UTC).date(),
            renamed_to=renamed,
            new_name=new_name,
        )
    return found
