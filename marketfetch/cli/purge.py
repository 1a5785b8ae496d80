"""`marketfetch purge` deletes old jobs, requests, rejects and dead messages. Bars stay."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import click

from marketfetch.cli.screen import counted

_LETTERS: Final = {"d": 1, "w": 7}
_LONGEST_DAYS: Final = 36_500


def _age(_ctx: click.Context, _param: click.Parameter, value: str) -> timedelta:
    """Reads `90d` or `12w` as a timedelta."""
    found = re.fullmatch(r"([0-9]{1,6})([dw])", value.strip().lower())
    days = int(found[1]) * _LETTERS[found[2]] if found else 0
    if not 3 <= days <= _LONGEST_DAYS:
        raise click.BadParameter(f"{value!r}: write days or weeks, such as 90d or 12w; at least 3d, at most 36500d")
    return timedelta(days=days)


@click.command()
@click.option(
    "--older-than", required=True, callback=_age, help="The least age: days or weeks since a job was over, such as 90d or 12w."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def purge(*, older_than: timedelta, as_json: bool) -> None:
    """Delete old jobs that are over or cancelled, the requests and rejects that no other job asks for, and dead messages.

    Every bar stays. What a purged job had asked is fetched anew when it is submitted again.
    """
    from marketfetch.ops import retention

    gone = retention.purge(older_than=older_than)
    if as_json:
        click.echo(gone.model_dump_json())
        return
    parts = (
        counted(gone.jobs, "job"),
        counted(gone.requests, "request"),
        counted(gone.rejects, "reject"),
        counted(gone.dead_messages, "dead message"),
    )
    click.echo(f"Purged {', '.join(parts)}. Every bar is kept.")
