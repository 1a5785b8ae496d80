"""`marketfetch archive`: what the archive of replies holds, and the removal of old months."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from marketfetch.cli.ages import AGE
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.ops.archive_months import Months


@click.group()
def archive() -> None:
    """Show and shorten the archive of replies, which the setting archive names. `marketfetch replay` reads it."""


@archive.command()
@json_option
def show(*, as_json: bool) -> None:
    """Show how many replies are kept, by month and vendor, and how large they are. Lists every file of the archive."""
    from marketfetch.documents.archive_documents import archived_months
    from marketfetch.ops.archive_months import months

    found = months()
    if as_json:
        click.echo(json.dumps(archived_months(found)))
        return
    if found.months:
        _table(found)
    click.echo(f"{counted(found.replies, 'reply', 'replies')} in {found.place}: {_size(found.size)}.")


@archive.command()
@click.option("--older-than", type=AGE, required=True, help="Days or weeks, such as 90d or 12w; at least 3d.")
@click.option("--dry-run", is_flag=True, help="Remove nothing: show what would be removed.")
@json_option
def purge(*, older_than: timedelta, dry_run: bool, as_json: bool) -> None:
    """Remove the months of which every day is longer ago. What is stored stays; a replay can't bring it again.

    Workers may write meanwhile. A purge that was stopped is finished by the next one.
    """
    from marketfetch.documents.archive_documents import archived_months
    from marketfetch.ops.archive_months import purge as removed

    found = removed(older_than=older_than, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps({**archived_months(found), "dry_run": dry_run}))
        return
    if not found.months:
        click.echo(f"No month in {found.place} is old enough to be removed.")
        return
    _table(found)
    would = "would be removed" if dry_run else "removed"
    click.echo(f"{counted(found.replies, 'reply', 'replies')} {would} from {found.place}: {_size(found.size)}.")
    if dry_run:
        hint("Nothing was removed: without --dry-run these months are.")


def _table(found: Months) -> None:
    rows = [("month", "size", "replies")]
    for one in found.months:
        replies = ", ".join(f"{vendor} {number:,}" for vendor, number in sorted(one.replies.items()))
        rows.append((one.month, _size(one.size), replies))
    table(rows)


def _size(size: int) -> str:
    """`1.5 MB`, in powers of ten, as disks are sold."""
    scaled = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if scaled < 1_000:
            return f"{scaled:,.0f} {unit}" if unit == "B" else f"{scaled:,.1f} {unit}"
        scaled /= 1_000
    return f"{scaled:,.1f} TB"
