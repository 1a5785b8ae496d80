"""`marketfetch token`: who may use the web API, and for what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.durations import LENGTH
from marketfetch.cli.screen import hint, json_option, table

if TYPE_CHECKING:
    from marketfetch.storage.api_tokens import TokenRow

_SCOPES = ("read", "submit", "operate", "admin")
_DAY_S = 86_400


@click.group()
def token() -> None:
    """Make, list and revoke the tokens of the web API (`marketfetch serve`). The database keeps their hashes alone."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(_SCOPES),
    default="read",
    show_default=True,
    help="What it may do: read; submit too, and steer its own jobs; operate all jobs, keys and schedules too; everything.",
)
@click.option("--submits", default="60/minute", show_default=True, help='How often it may submit; "": without a limit.')
@click.option("--owner", default="", help="Bind it to an owner: it submits and sees the jobs of this owner alone.")
@click.option("--for", "seconds", type=LENGTH, help="How long it is valid: 2h, 90d.  [default: until it is revoked]")
@json_option
def create(*, name: str, scope: str, submits: str, owner: str, seconds: float | None, as_json: bool) -> None:
    """Make a token for NAME and print it: it is shown this once. Its jobs have the owner "NAME (token ID)", or --owner."""
    from marketfetch.documents.token_documents import new_token
    from marketfetch.ops import access_tokens

    days = None if seconds is None else seconds / _DAY_S
    made = access_tokens.create(name, scope=scope, submits=submits, days=days, owner=owner)
    if as_json:
        click.echo(json.dumps(new_token(made)))
        return
    click.echo(made.token)
    hint(f"This is the only time that the token of {name} is shown. `marketfetch token revoke {made.row.id}` ends it.")


@token.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    """List the tokens, without themselves: scope, limit, and whether each is valid."""
    from marketfetch.documents.token_documents import listed_tokens
    from marketfetch.ops.access_tokens import listed, where

    found = listed()
    if as_json:
        click.echo(json.dumps(listed_tokens(found)))
        return
    if not found:
        hint(f"There is no token in {where()}: `marketfetch token create NAME` makes one.")
        return
    header = ("id", "name", "scope", "owner", "submits", "made (UTC)", "state")
    table([header, *map(_cells, found)], go=("made (UTC)", "submits"))


@token.command()
@click.argument("name", metavar="ID|NAME", shell_complete=completing.tokens)
@json_option
def revoke(*, name: str, as_json: bool) -> None:
    """End a token: servers refuse it within seconds, and end the streams that it has open."""
    from marketfetch.documents.token_documents import listed_token
    from marketfetch.ops import access_tokens

    row = access_tokens.revoke(name)
    if as_json:
        click.echo(json.dumps(listed_token(row)))
        return
    hint(f"The token {row.name} ({row.id}) is revoked.")


def _cells(row: TokenRow) -> tuple[str, ...]:
    from datetime import UTC, datetime

    from marketfetch.ops.access_tokens import is_valid

    def day(ms: int) -> str:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"

    state = "valid" if row.expires_ms is None else f"valid until {day(row.expires_ms)}"
    if row.revoked_ms is not None:
        state = f"revoked {day(row.revoked_ms)}"
    elif not is_valid(row):
        state = "expired"
    return row.id, row.name, row.scope, row.owner, row.submits or "no limit", day(row.created_ms), state
