"""`marketfetch init` writes a commented marketfetch.toml into this folder."""

from __future__ import annotations

import os
from typing import Final

import click

from marketfetch.cli.screen import command, hint

_FILE: Final = "marketfetch.toml"


@click.command()
def init() -> None:
    """Write marketfetch.toml, in which every setting stands with its default, commented out.

    The file will hold API keys, so only you can read it. A file that is there already is never overwritten.
    """
    from importlib.resources import files

    text = files("marketfetch").joinpath("marketfetch.toml.example").read_text(encoding="utf-8")
    try:
        # O_EXCL: no other file, and no symbolic link, is written through.
        handle = os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{_FILE} is here already and was not changed. Move it away, or edit it.") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(_FILE)
    hint(f"Set the keys of your vendors in it; then `{command()} check` tells whether all is well.")
