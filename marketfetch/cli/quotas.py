"""`marketfetch quotas` shows what each key has used and when it opens, and pauses or resumes one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.durations import LENGTH
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.lengths import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marketfetch.ops.key_status import KeyLine
    from marketfetch.quotas.values import KeyReport


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def quotas(ctx: click.Context, *, as_json: bool) -> None:
    """Show every key's limits: used and allowed, when one more call is free, what is paused and why."""
    if ctx.invoked_subcommand:
        return
    from marketfetch.addresses import redis_choice
    from marketfetch.ops.key_status import lines, sentences, unserved

    found, waits = lines(), unserved()
    if where := redis_choice():
        hint(where)
    if as_json:
        _print_document(found, waits)
        return
    if not found:
        hint("No API key is configured. `marketfetch check` says how to set one.")
        return
    owned = any(one.owners for one in found)  # most installations have no owners of keys
    rows = [("vendor", "key", *(("owner",) if owned else ()), "limit", "used", "next call", "open", "parked")]
    for one in found:
        limits = one.key.limits or (None,)
        for number, use in enumerate(limits):
            used = f"{use.used}/{use.allowed}" if use else ""
            first = number == 0
            rows.append(
                (
                    one.provider if first else "",
                    one.key.label if first else "",
                    *((", ".join(one.owners) if first else "",) if owned else ()),
                    use.text if use else "no limits",
                    used,
                    _next_call(one.key, use.resets_ms if use else 0),
                    f"{one.key.open_calls}" if first else "",
                    f"{one.parked}" if first else "",
                )
            )
    table(rows)
    for sentence in dict.fromkeys(waits.values()):
        hint(sentence)
    for one in found:
        for sentence in sentences(one.provider, one.key):
            hint(sentence)


@quotas.command()
@click.argument("label", shell_complete=completing.key_labels)
@click.option("--provider", shell_complete=completing.providers, help="Where several vendors have a key of that label.")
@click.option("--for", "seconds", type=LENGTH, default="1d", show_default=True, help="How long: 30s, 5m, 2h, 1d, or seconds.")
@json_option
def pause(*, label: str, provider: str | None, seconds: float, as_json: bool) -> None:
    """Make no call with the key LABEL for a while. What runs goes on. --json prints all keys, as they are then."""
    from marketfetch.ops import key_status

    owner = key_status.pause(label, provider=provider, seconds=seconds)
    if as_json:
        _print_document(key_status.lines(), key_status.unserved())
    ends = f"marketfetch quotas resume {label}{f' --provider {provider}' if provider else ''}"
    hint(f"The key {label!r} of {owner} rests for {in_words(seconds)}. `{ends}` ends it.")


@quotas.command()
@click.argument("label", shell_complete=completing.key_labels)
@click.option("--provider", shell_complete=completing.providers, help="Where several vendors have a key of that label.")
@json_option
def resume(*, label: str, provider: str | None, as_json: bool) -> None:
    """End the pause of the key LABEL, and use it again if it was set aside. --json prints all keys, as they are then."""
    from marketfetch.ops import key_status

    owner = key_status.resume(label, provider=provider)
    if as_json:
        _print_document(key_status.lines(), key_status.unserved())
    hint(f"The key {label!r} of {owner} may be used again.")


def _print_document(found: Sequence[KeyLine], waits: Mapping[str, str]) -> None:
    from marketfetch.documents.key_documents import quotas_document
    from marketfetch.ops.key_status import events

    click.echo(json.dumps(quotas_document(found, events(), waits)))


def _next_call(key: KeyReport, resets_ms: int) -> str:
    """Says when both the limit and the key allow the next call."""
    if key.aside_why:
        return "set aside"
    return _opening(max(resets_ms, key.paused_ms) if key.paused_ms or resets_ms >= 0 else resets_ms)


def _opening(resets_ms: int) -> str:
    if resets_ms < 0:
        return "when an open call ends"
    if resets_ms == 0:
        return "now"
    seconds = resets_ms / 1000
    return f"in {seconds:.1f} s" if seconds < 60 else f"in {in_words(seconds)}"


@quotas.command()
@json_option
@click.pass_context
def health(ctx: click.Context, *, as_json: bool) -> None:
    """Show whether requests that may run are admitted and started; exits with 1 if not. For health checks."""
    from marketfetch.documents.key_documents import health_document
    from marketfetch.ops import key_status
    from marketfetch.quotas.reporting import UNSTARTED

    found = key_status.health()
    unserved = key_status.unserved() if not all(one.ok for one in found) else {}
    ok = all(one.ok for one in found)
    if as_json:
        click.echo(json.dumps(health_document(found)))
    else:
        for one in found:
            waits = f"{one.waiting} wait that may run, a key is open, and nothing was admitted for {one.stuck_ms / 1000:.0f} s"
            if one.unstarted:
                waits = f"{one.unstarted} {UNSTARTED}"
            why = unserved.get(one.pool, "Is a worker running? `marketfetch check` looks.")
            click.echo(f"{one.pool}: {'fine' if one.ok else f'{waits}. {why}'}")
    ctx.exit(OK if ok else FAILED)
