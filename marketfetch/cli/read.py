"""`marketfetch read`: a saved reply, read exactly as a worker would read it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

import click

from marketfetch.cli import completing
from marketfetch.cli.screen import json_option, table
from marketfetch.phrases import counted

if TYPE_CHECKING:
    from marketfetch.ops.saved_replies import SavedReply

_MOST_SHOWN: Final = 20


def _headers(_ctx: click.Context, _param: click.Parameter, lines: tuple[str, ...]) -> dict[str, str]:
    """'Name: value' lines as a mapping."""
    headers = {}
    for line in lines:
        name, colon, text = line.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{line!r} is no header; write it as 'Retry-After: 5'")
        headers[name.strip()] = text.strip()
    return headers


@click.command()
@click.argument("provider", shell_complete=completing.providers)
@click.argument("dataset", shell_complete=completing.datasets)
@click.argument("file", type=click.File("rb"))
@click.option("--status", type=click.IntRange(100, 599), default=200, show_default=True, help="The reply's HTTP status.")
@click.option("--header", "headers", multiple=True, callback=_headers, help="A header of the reply, 'Name: value'.")
@click.option("--symbol", help="The symbol that was asked, where the reply does not name it.")
@json_option
def read(
    *,
    provider: str,
    dataset: str,
    file: IO[bytes],
    status: int,
    headers: dict[str, str],
    symbol: str | None,
    as_json: bool,
) -> None:
    """Read a saved reply as a worker would, and show what it holds.

    FILE is the body as it came, or - for stdin. DATASET is the vendor's name for the data, or "bars". Checks that need the
    asked range are skipped. Exits with 0 if the reply could be read, also when it holds a vendor's error.
    """
    from marketfetch.ops.saved_replies import UNKNOWN_SYMBOL, read_saved

    reply = read_saved(provider, dataset, file.read(), status=status, headers=headers, symbol=symbol or UNKNOWN_SYMBOL)
    if as_json:
        click.echo(reply.model_dump_json())
    else:
        _tell(reply)


def _tell(reply: SavedReply) -> None:
    rows = [("outcome", reply.outcome)]
    rows += [("why", reply.message)] if reply.message else []
    rows += [("rows", f"{reply.rows:,}")]
    rows += [("series", one) for one in reply.series]
    rows += [("bars from", f"{reply.span} (UTC, start of the bar)")] if reply.span else []
    rows += [("quirk", f"{name}: {counted(rows, 'row')}") for name, rows in reply.quirks.items()]
    rows += [("rejects", f"{reply.rejected:,}")]
    for reject in reply.rejects[:_MOST_SHOWN]:
        where = f"row {reject.row}" + (f" ({reject.symbol})" if reject.symbol else "")
        rows += [("", f"{where}: {reject.field} = {reject.value}: {reject.reason}")]
    if reply.rejected > _MOST_SHOWN:
        rows += [("", f"... and {reply.rejected - _MOST_SHOWN:,} more; --json lists the first hundred of each reason")]
    rows += [("next page", reply.next or "none")]
    rows += [("retry after", f"{reply.retry_after:g} s")] if reply.retry_after is not None else []
    table(rows)
