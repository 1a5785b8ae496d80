"""`marketfetch replay`: archived replies, validated and stored again without a call."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.days import DAY
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.phrases import counted
from marketfetch.schemas.day_words import WORDS

if TYPE_CHECKING:
    from marketfetch.ops.replay import Replayed

_SHOWN: Final = 20


@click.command()
@click.argument("provider", required=False, shell_complete=completing.providers)
@click.option("--since", type=DAY, help=f"Only replies to calls from this day (UTC) on: {WORDS}.")
@click.option("--dry-run", is_flag=True, help="Write nothing: show how what is stored would differ.")
@json_option
@click.pass_context
def replay(ctx: click.Context, *, provider: str | None, since: date | None, dry_run: bool, as_json: bool) -> None:
    """Validate and store the archived replies again, of PROVIDER or of all, without one call to a vendor.

    The setting archive names the archive. After a change of a check or of a table's mapping, --dry-run shows which rows would
    be new, which would change, and which stored ones fail a check now. Exits with 1 if a file of the archive can't be used.
    """
    from marketfetch.ops.replay import replay as again

    done = again(provider, since=since, dry_run=dry_run)
    if as_json:
        from marketfetch.documents.archive_documents import replayed_replies

        click.echo(json.dumps(replayed_replies(done, dry_run=dry_run)))
    else:
        _tell(done, dry_run=dry_run)
    ctx.exit(FAILED if done.damaged else OK)


def _tell(done: Replayed, *, dry_run: bool) -> None:
    from marketfetch.printable import printable

    if not done.replies:
        hint(f"There is no such reply in the archive {done.place}.")
        return
    would = "would be" if dry_run else "are"
    click.echo(
        f"{counted(done.replies, 'reply', 'replies')} in {done.place}, {counted(done.rows, 'bar')}: {done.new:,} {would} new, "
        f"{done.changed:,} {would} changed."
    )
    if done.records:
        click.echo(f"{counted(done.records, 'record')} of lists {'would be' if dry_run else 'are'} read again.")
    rows = [("rejected", f"{number:,}", printable(cause)) for cause, number in done.rejected.most_common(_SHOWN)]
    rows += [("no rows", f"{number:,}", name) for name, number in done.errors.most_common(_SHOWN)]
    if rows:
        table(rows)
    for provider, symbol, timespan, adjustment, moment in done.gone[:_SHOWN]:
        when = f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M}"
        click.echo(f"stored, and no good row now: {provider} {printable(symbol)} {timespan} {adjustment} {when} UTC")
    if done.gone_total:
        more = f" (the first {_SHOWN} are listed; --json names 100)" if done.gone_total > _SHOWN else ""
        hint(f"{counted(done.gone_total, 'stored bar')} came with these replies and fail a check now{more}: they stay.")
    for sentence in done.damaged[:_SHOWN]:
        hint(sentence)
    if dry_run and (done.new or done.changed):
        hint("Nothing was written: without --dry-run the replay stores them.")
