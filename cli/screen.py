"""Where words go: results to stdout, everything else to stderr. Colour only where a person is looking."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


def out() -> Console:
    """Results. A pipe gets plain lines as wide as they are."""
    return _console(stderr=False)


def err() -> Console:
    """Progress, hints, warnings."""
    return _console(stderr=True)


def hint(text: str) -> None:
    """A sentence beside the result."""
    click.echo(text, err=True)


def command() -> str:
    """How to call us again from this terminal: `marketfetch` where that finds us, else the path that was typed."""
    typed = Path(sys.argv[0])
    found = shutil.which("marketfetch")
    if typed.name != "marketfetch" or (found and Path(found).resolve() == typed.resolve()):
        return "marketfetch"
    try:
        return str(typed.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(typed)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal:
        # Narrow tables in a log or a pipe would cut words that somebody wants to grep.
        console.width = 160
    return console
