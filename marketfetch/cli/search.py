"""`marketfetch search`: which symbols a vendor has for the words of a name."""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote_plus

import click

from marketfetch.cli import completing
from marketfetch.cli.exit_codes import FAILED, OK
from marketfetch.cli.screen import hint, json_option
from marketfetch.phrases import counted

_SHOWN: Final = ("provider", "symbol", "name", "kind", "market", "exchange", "currency")


@click.command()
@click.argument("provider", shell_complete=completing.providers)
@click.argument("words", nargs=-1, required=True)
@json_option
@click.pass_context
def search(ctx: click.Context, *, provider: str, words: tuple[str, ...], as_json: bool) -> None:
    """Ask PROVIDER which symbols it has for WORDS of a name, such as `search PROVIDER bank of america`. Costs one call.

    A worker makes the call, within the limits of the keys. What is found is printed, and stored in the table `symbols` with the
    status found. Exits with 1 if nothing is found, or the call failed.
    """
    from marketfetch import connections, submit
    from marketfetch.cli.owner import is_system_user, owner
    from marketfetch.cli.progress import watched
    from marketfetch.cli.show_records import print_rows
    from marketfetch.documents.outcome import next_step, sentences
    from marketfetch.frames.record_frames import named
    from marketfetch.frames.record_questions import question
    from marketfetch.storage.stored_records import records_of_job

    text = quote_plus(" ".join(words))
    job = submit(provider, [text], dataset="search", owner=owner(), keys_without_owner=is_system_user())
    state = watched({job.job_id: provider})[job.job_id]
    asked = question("search")
    rows = [named(asked, row) for row in records_of_job(connections.recorded(), asked.kind, job.job_id)]
    # What the words begin with stands first, as a person looks for it.
    typed = " ".join(words).casefold()
    rows.sort(key=lambda row: _place(typed, str(row["symbol"]), str(row["name"])))
    if as_json:
        from marketfetch.documents.data_documents import shown_record

        click.echo(json.dumps({"job": job.job_id, "state": state.state, "rows": [shown_record(row) for row in rows]}))
    elif state.state != "done":
        click.echo("\n".join(sentences(state)))
        hint(next_step(state))
    elif not rows:
        hint(f"{provider} finds no symbol for {' '.join(words)!r}: try fewer words, or another vendor.")
    else:
        print_rows([{name: row[name] for name in _SHOWN} for row in rows])
        hint(f"{counted(len(rows), 'symbol')}. `marketfetch fetch {provider} SYMBOL` fetches its bars.")
    ctx.exit(OK if rows and state.state == "done" else FAILED)


def _place(typed: str, symbol: str, name: str) -> tuple[bool, bool, str]:
    return symbol.casefold() != typed, not name.casefold().startswith(typed), symbol
