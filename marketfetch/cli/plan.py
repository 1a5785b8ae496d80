"""`marketfetch plan`, also `fetch --dry-run`: what a fetch would cost, before anything is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from marketfetch.cli.screen import hint
from marketfetch.documents.forecast_words import lines
from marketfetch.documents.outcome import why_no_call

if TYPE_CHECKING:
    pass


def show_plan(provider: str, symbols: tuple[str, ...], *, as_json: bool, **wish: Any) -> None:
    """Prints what a fetch with these arguments would cost."""
    from marketfetch import plan
    from marketfetch.documents.job_documents import forecast_of_job

    found = plan(provider, symbols, **wish)
    if as_json:
        click.echo(json.dumps(forecast_of_job(found)))
        return
    days = {name: value for name, value in wish.items() if name not in ("again", "priority", "by_symbol")}
    said = lines(found) if found.requests else [why_no_call(provider, symbols, **days)]
    click.echo("\n".join(said))
    for sentence in found.trouble:
        hint(sentence)
