"""A forecast as sentences: what `marketfetch plan` prints, and the page shows before a job is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from marketfetch.documents.outcome import ALL_STORED
from marketfetch.lengths import in_words
from marketfetch.phrases import counted, joined

if TYPE_CHECKING:
    from marketfetch import Forecast
    from marketfetch.jobs.market_calls import MarketCalls

_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


def lines(found: Forecast) -> list[str]:
    """The forecast as sentences."""
    if not found.requests:
        return [ALL_STORED]
    if not found.calls:
        return [f"{counted(found.requests, 'request')}, all of which another job has made: 0 calls."]
    part = " for what is not stored yet" if found.partly_stored else ""
    named = f"with the key{'s' if len(found.keys) > 1 else ''} {joined(found.keys)} of {found.provider}"
    along = f"; {found.stored_rows:,} of the rows are stored already and come in the same calls" if found.stored_rows else ""
    said = [
        f"{counted(found.calls, 'call')}{part}, {named}.",
        f"About {counted(found.rows, 'row')}, {_size(found.bytes)}{along}.",
    ]
    if found.refreshed:
        more = f" and of {counted(len(found.refreshed) - 1, 'other symbol')}" if len(found.refreshed) > 1 else ""
        said.append(f"All stored days of {found.refreshed[0]}{more} are among them: their adjusted prices are stale.")
    if found.market:
        said.insert(1, in_place_of_symbols(found.market))
    ahead = f", behind {counted(found.ahead, 'call')} of other jobs" if found.ahead else ""
    if found.seconds is None:
        said.append("No key is in service, so it would wait: `marketfetch quotas` says why.")
    else:
        last = f"in {in_words(found.seconds)}" if found.seconds >= 1 else "at once"
        said.append(f"The last call may be made {last}, at the limits of its keys{ahead}.")
    return said


def in_place_of_symbols(found: MarketCalls) -> str:
    """Why calls bring the whole market: `2 calls bring a session of the whole market each (dataset grouped), ...`."""
    how = "call brings a session of the whole market" if found.calls == 1 else "calls bring a session of the whole market each"
    return (
        f"{found.calls:,} {how} (dataset {found.dataset}), in place of {counted(found.instead_of, 'call')} for "
        f"{counted(found.symbols, 'symbol')}; --by-symbol asks for each symbol."
    )


def _size(number: int) -> str:
    size, unit = float(number), 0
    while size >= 1_000 and unit < len(_UNITS) - 1:
        size, unit = size / 1_000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit < 2 or size >= 10 else f"{size:.1f} {_UNITS[unit]}"
