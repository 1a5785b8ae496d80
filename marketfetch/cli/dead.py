"""`marketfetch dead` lists the messages that no worker could process, shows one, sends it again, drops it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from marketfetch.ops.dead_letters import DeadLetter

#: Characters of a message on the screen; `--json` has all that was kept.
_SHOWN = 4_000


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def dead(ctx: click.Context, *, as_json: bool) -> None:
    """List the messages that no worker could read or run, oldest first, each with the reason."""
    if ctx.invoked_subcommand:
        return
    from marketfetch.addresses import redis_choice
    from marketfetch.documents.message_documents import dead_messages
    from marketfetch.ops.dead_letters import letters

    found = letters()
    if where := redis_choice():
        hint(where)
    if as_json:
        click.echo(json.dumps(dead_messages(found)))
        return
    if not found:
        hint("There are no dead messages: everything that was sent could be read.")
        return
    rows = [("id", "when (UTC)", "queue", "task", "reason")]
    rows += [(one.id, f"{one.when:%Y-%m-%d %H:%M:%S}", one.queue, one.task or "?", one.reason) for one in found]
    table(rows)
    hint("`marketfetch dead show ID` shows one, `dead retry ID` sends it again, `dead drop ID` forgets it.")


@dead.command()
@click.argument("number", metavar="ID")
@json_option
def show(*, number: str, as_json: bool) -> None:
    """Show the message ID: where it came from, why it is here, and what it says, without secrets."""
    from marketfetch.documents.message_documents import dead_message_text
    from marketfetch.ops.dead_letters import letter

    found = letter(number)
    if as_json:
        click.echo(json.dumps(dead_message_text(found)))
        return
    text = found.text()
    about = {
        "id": found.id,
        "when": f"{found.when:%Y-%m-%d %H:%M:%S} UTC",
        "queue": found.queue,
        "task": found.task or "not known",
        "task id": found.task_id or "not known",
        "size": counted(found.size, "byte") + ("" if found.whole else f", of which {len(found.raw):,} were kept"),
        "reason": found.reason,
    }
    table(list(about.items()))
    click.echo(f"\n{text[:_SHOWN]}")
    if len(text) > _SHOWN:
        hint(f"{len(text) - _SHOWN:,} more characters: `marketfetch dead show {number} --json` has them all.")


@dead.command()
@click.argument("number", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@json_option
@click.pass_context
def retry(ctx: click.Context, *, number: str | None, everything: bool, as_json: bool) -> None:
    """Send the message ID to its queue again. It comes back here if a worker still can't process it."""
    from marketfetch.ops.dead_letters import retry as send

    _each(ctx, send, number, everything=everything, done="back in the queue", as_json=as_json)


@dead.command()
@click.argument("number", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@json_option
@click.pass_context
def drop(ctx: click.Context, *, number: str | None, everything: bool, yes: bool, as_json: bool) -> None:
    """Forget the message ID for good."""
    from marketfetch.ops.dead_letters import drop as forget
    from marketfetch.ops.dead_letters import letters

    if everything and number is None and not yes and (there := len(letters())):
        click.confirm(
            f"Forget {'the only message' if there == 1 else f'all {there:,} messages'} for good?", abort=True, err=True
        )

    _each(ctx, forget, number, everything=everything, done="dropped", as_json=as_json)


@dead.command()
@click.argument("provider", shell_complete=completing.providers)
@click.argument("request_id", metavar="REQUEST")
def reply(*, provider: str, request_id: str) -> None:
    """Write the reply to REQUEST, which crashed its workers, to stdout: `dead reply VENDOR ID > reply.json`.

    REQUEST is its id, as the job's failure names it, or a beginning of it that no other kept reply has.
    """
    from marketfetch.ops.dead_letters import reply as kept

    click.echo(kept(provider, request_id), nl=False)


def _each(
    ctx: click.Context,
    do: Callable[[str], DeadLetter],
    number: str | None,
    *,
    everything: bool,
    done: str,
    as_json: bool,
) -> None:
    """Applies `do` to one message, or to all that are there now. Each refusal is printed, and makes the exit code 1."""
    if (number is None) == (not everything):
        raise click.UsageError("say which: the ID of one message, or --all")
    from marketfetch.documents.message_documents import dead_messages
    from marketfetch.exceptions import MarketfetchError
    from marketfetch.ops.dead_letters import letters

    if number is not None:
        found = do(number)
        if as_json:
            click.echo(json.dumps(dead_messages([found])))
        hint(f"Message {found.id} of queue {found.queue} is {done}.")
        return
    through, refused = [], []
    for one in letters():
        try:
            through.append(do(one.id))
        except MarketfetchError as error:
            refused.append(str(error))
    if as_json:
        click.echo(json.dumps(dead_messages(through)))
    for sentence in refused:
        hint(sentence)
    if through:
        hint(f"{counted(len(through), 'message')} {'is' if len(through) == 1 else 'are'} {done}.")
    elif not refused:
        hint("There are no dead messages.")
    ctx.exit(FAILED if refused else OK)
