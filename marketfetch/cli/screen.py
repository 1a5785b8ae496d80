"""Output of the commands: results go to stdout, everything else to stderr; colour only on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


def err() -> Console:
    """The console on stderr, for progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def table(rows: Sequence[Sequence[str]], *, styles: Mapping[str, str] | None = None) -> None:
    """Prints rows of words to stdout: wrapped and coloured on a terminal, one plain line a row into a pipe.

    `styles` colours the cells that hold exactly these words.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        grid = Table(box=None, show_header=False, pad_edge=False)
        for row in rows:
            grid.add_row(*(Text(cell, style=(styles or {}).get(cell, "")) for cell in row))
        console.print(grid)
        return
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())


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
