"""`marketfetch check` shows what works, what is missing, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.ops.finding import Finding


@click.command()
@click.option("--upgrade", "upgrading", is_flag=True, help="First bring the tables of the release before to this one's.")
@click.option("--notify", "notifying", is_flag=True, help="Also send a trial to each target of [[notify]].")
@json_option
@click.pass_context
def check(ctx: click.Context, *, upgrading: bool, notifying: bool, as_json: bool) -> None:
    """Try what workers do with Redis, Celery's broker and results, and the database; look at settings, keys and `up`'s needs.

    It takes ten seconds at most and leaves nothing behind. It exits with 1 if an error stops fetching; warnings alone give 0.
    Stop the workers before --upgrade: it changes the tables in one transaction and keeps every row.
    """
    from marketfetch import connections
    from marketfetch.cli.ports import flower_port
    from marketfetch.jobs.coverage_of_before import build_coverage
    from marketfetch.ops.diagnosis import findings, upgrade
    from marketfetch.ops.finding import Finding
    from marketfetch.ops.notify_diagnosis import trials
    from marketfetch.settings import SettingsError

    if upgrading:
        hint(upgrade())
        intervals, jobs = build_coverage(connections.store())
        if jobs:
            built = f"{counted(intervals, 'interval')} of {counted(jobs, 'job')}"
            hint(f"What the release before has stored is known as covered: {built}.")
    try:
        found = [*findings(), flower_port(), *_of_schedules(), *(trials() if notifying else ())]
    except SettingsError as error:
        # All else depends on the settings, so this is the only finding.
        found = [Finding(level="error", subject="settings", sentence=f"{error.message.rstrip('.')}.")]
    errors = sum(one.level == "error" for one in found)
    if as_json:
        from marketfetch.documents.check_document import check_findings

        click.echo(json.dumps(check_findings(found)))
    else:
        rows = [(one.level, one.subject, one.sentence) for one in found]
        table(rows, styles={"ok": "green", "warning": "yellow", "error": "red"})
        warnings = sum(one.level == "warning" for one in found)
        click.echo(f"\n{counted(errors, 'error')}, {counted(warnings, 'warning')}.")
    ctx.exit(FAILED if errors else OK)


def _of_schedules() -> list[Finding]:
    """Warns of schedules that can't be run, or have failed. Without Redis or the database that is not known, and said above."""
    from marketfetch.exceptions import MarketfetchError
    from marketfetch.jobs.schedule_faults import faults
    from marketfetch.ops.finding import Finding
    from marketfetch.settings import SettingsError
    from marketfetch.storage.store import StoreError

    try:
        return [Finding(level="warning", subject="schedule", sentence=one) for one in faults()]
    except SettingsError:
        raise
    except (MarketfetchError, StoreError):
        return []
