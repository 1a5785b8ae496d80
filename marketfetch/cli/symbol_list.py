"""The symbols of a command: its words, those of a file, and those of universes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import click

from marketfetch.cli.screen import hint


def symbols_of(words: Sequence[str], file: IO[bytes] | None = None) -> tuple[str, ...]:
    """The symbols of a command's words, then those of a file. Raises BadParameter for a file that is no text.

    Nothing is checked here: what is no symbol stays as it is, for the error that names it.
    """
    from marketfetch.ops.symbol_words import NoTextError, decoded, of_text, split

    found = [one for word in words for one in (split(word) or [word.strip()])]
    if file is not None:
        try:
            found += of_text(decoded(file.read(), name=getattr(file, "name", "the symbols file")))
        except NoTextError as error:
            raise click.BadParameter(str(error)) from None
    return tuple(dict.fromkeys(found))


def with_universes(words: Sequence[str], provider: str = "", **wish: Any) -> tuple[str, ...]:
    """The symbols that these words stand for; what of a universe can't be used is said on stderr.

    With a provider, those of universes that its planner refuses for this wish are left out too.

    Raises WrongValueError for a date and for the name of a file without its @.
    """
    from marketfetch.exceptions import WrongValueError
    from marketfetch.ops.symbol_words import mistaken
    from marketfetch.ops.universes import resolved

    if wrong := next(filter(None, map(mistaken, words)), ""):
        raise WrongValueError(wrong)
    if provider:
        from marketfetch.jobs.universe_wishes import symbols_to_ask

        return tuple(symbols_to_ask(provider, words, told=hint, **wish))
    found = resolved(words)
    for note in found.notes:
        hint(note)
    return found.symbols


def of_whole_market(provider: str, dataset: str) -> tuple[str, ...]:
    """What stands for every symbol, where the dataset may be asked for without symbols; none where it may not."""
    from marketfetch import vendors
    from marketfetch.schemas.symbol_text import WHOLE_MARKET
    from marketfetch.vendors.whole_market import takes_whole_market

    known = provider in vendors.names() and takes_whole_market(vendors.vendor(provider), dataset)
    return (WHOLE_MARKET,) if known else ()
