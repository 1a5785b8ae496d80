"""The symbols that a wish asks for: those of universes without the ones that the vendor's planner refuses.

A symbol that is named by itself and is wrong refuses the wish; one that came with a universe costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec
from marketfetch.lazy_logger import logger
from marketfetch.ops.symbol_words import mistaken
from marketfetch.ops.universes import AT, names_universe, resolved
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.sections import Universe
from marketfetch.vendors.errors import PlanError

log = logger("marketfetch.universes")

_MOST_REPORTED: Final = 3


def symbols_to_ask(
    provider: str,
    words: Sequence[str],
    *,
    known: Mapping[str, Universe] | None = None,
    told: Callable[[str], object] | None = None,
    **wish: Any,
) -> Sequence[str]:
    """The symbols that these words stand for, in their order; words without a universe stay as they are.

    `known` are the universes, None for those of this process's settings. `told` hears what was left out and why, else the log.
    `wish`: what else is asked for, as far as it is known. Raises BadRequestError, as `resolved` does.
    """
    if not names_universe(words):
        return words
    found = resolved(words, known=known)
    refused = _refused(provider, found.symbols, wish, named={one for one in words if not one.startswith(AT)})
    for note in (*found.notes, *_notes(refused.values())):
        told(note) if told else log.warning("universe", note=note)
    return tuple(one for one in found.symbols if one not in refused)


def _refused(provider: str, symbols: Sequence[str], wish: Mapping[str, Any], *, named: set[str]) -> dict[str, str]:
    """The symbols of universes that the planner refuses, each with its sentence.

    None where the wish is wrong whatever its symbols are: the planner then says that of all.
    """
    if provider not in vendors.names():
        return {}
    try:
        spec = make_spec(provider, symbols, again=False, **wish)
    except (BadRequestError, TypeError):
        return {}
    if not _objection(spec):
        return {}
    alone = {one: _objection(spec.model_copy(update={"symbols": (one,)})) for one in symbols if one not in named}
    refused = {one: said for one, said in alone.items() if said}
    return {} if len(refused) == len(symbols) else refused


def _objection(spec: JobSpec) -> str:
    """What the planner has against this wish, as a sentence; "" for nothing."""
    vendor, ours = vendors.vendor(spec.provider), options(spec.provider)
    if wrong := next(filter(None, map(mistaken, spec.symbols)), ""):
        return wrong
    try:
        vendor.plan(spec, ours)
        vendor.check_wish(spec, ours)
    except PlanError as error:
        return str(error)
    return ""


def _notes(sentences: Iterable[str]) -> list[str]:
    said = list(sentences)
    notes = [f"{one.rstrip('.')}. It came with a universe and is left out." for one in said[:_MOST_REPORTED]]
    if (more := len(said) - _MOST_REPORTED) > 0:
        notes.append(f"{more:,} more symbols are left out for such a reason.")
    return notes
