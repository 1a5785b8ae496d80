"""Output of the commands: results go to stdout, everything else to stderr; colour only on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from marketfetch.cli.narrow import fitted
from marketfetch.phrases import joined

if TYPE_CHECKING:
    from rich.console import Console

#: Of every command that prints data: its document stands in docs/json.md.
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def err() -> Console:
    """The console on stderr, for progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def table(
    rows: Sequence[Sequence[str]],
    *,
    styles: Mapping[str, str] | None = None,
    elastic: Mapping[str, int] | None = None,
    go: Sequence[str] = (),
) -> list[str]:
    """Prints rows of words to stdout: fitted to a terminal and coloured there, one plain line a row into a pipe.

    Returns the titles of the columns that had no room.

    `styles` colours the cells that hold exactly these words. With `go`, titles of the first row, a terminal gets a line a row
    too: these columns go where it is too narrow, the first one first, and the words of `elastic` are cut before, to so many
    characters at least. Without `go` cells are wrapped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    if console.is_terminal and not go:
        grid = Table(box=None, show_header=False, pad_edge=False)
        for row in rows:
            grid.add_row(*(Text(cell, style=(styles or {}).get(cell, "")) for cell in row))
        console.print(grid)
        return []
    titles = [one.strip() for one in rows[0]] if go else []
    cut = {titles.index(one): least for one, least in (elastic or {}).items()}
    lines, gone = fitted(
        rows, console.width if go and console.is_terminal else None, elastic=cut, go=list(map(titles.index, go))
    )
    for line in lines:
        click.echo(line)
    names = [titles[n] for n in sorted(gone)]
    if names:
        hint(f"Without {joined(names)}, for which the terminal is too narrow: --json has all.")
    return names


def hint(text: str) -> None:
    """Prints a sentence to stderr, beside the result."""
    click.echo(text, err=True)


def command() -> str:
    """Returns how to run this command again from this terminal: `marketfetch` if the PATH finds it, else the typed path."""
    typed = Path(sys.argv[0])
    found = shutil.which("marketfetch")
    if typed.name != "marketfetch" or (found and Path(found).resolve() == typed.resolve()):
        return "marketfetch"
    try:
        return str(typed.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(typed)
