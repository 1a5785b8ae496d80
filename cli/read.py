"""`marketfetch read`: a saved reply, read exactly as a worker would read it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from cli.screen import out

if TYPE_CHECKING:
    from tasks.readers import SavedReply


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
@click.argument("provider")
@click.argument("dataset")
@click.argument("file", type=click.File("rb"))
@click.option("--status", type=click.IntRange(100, 599), default=200, show_default=True, help="The reply's HTTP status.")
@click.option("--header", "headers", multiple=True, callback=_headers, help="A header of the reply, 'Name: value'.")
@click.option("--symbol", help="The symbol that was asked, where the reply does not name it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
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
    """Read a saved reply as a worker would, and tell what it holds.

    FILE is the body as it came, or - for stdin. DATASET is the vendor's name for the data, or "bars". Checks that need the
    asked range are skipped. Exits with 0 whenever the reply was read and told, also when it tells of an error.
    """
    from tasks.readers import UNKNOWN_SYMBOL, read_saved

    reply = read_saved(provider, dataset, file.read(), status=status, headers=headers, symbol=symbol or UNKNOWN_SYMBOL)
    if as_json:
        click.echo(reply.model_dump_json())
    else:
        _tell(reply)


def _tell(reply: SavedReply) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("outcome", reply.outcome)
    if reply.message:
        table.add_row("why", reply.message)
    table.add_row("rows", f"{reply.rows:,}")
    for one in reply.series:
        table.add_row("series", one)
    if reply.span:
        table.add_row("bars from", f"{reply.span} (UTC, start of the bar)")
    for name, rows in reply.quirks.items():
        table.add_row("quirk", f"{name}: {rows:,} rows")
    table.add_row("rejects", f"{len(reply.rejects):,}")
    for reject in reply.rejects[:20]:
        where = f"row {reject.row}" + (f" ({reject.symbol})" if reject.symbol else "")
        table.add_row("", f"{where}: {reject.field} = {reject.value}: {reject.reason}")
    if len(reply.rejects) > 20:
        table.add_row("", f"... and {len(reply.rejects) - 20:,} more; --json lists all")
    table.add_row("next page", reply.next or "none")
    if reply.retry_after is not None:
        table.add_row("retry after", f"{reply.retry_after:g} s")
    out().print(table)
