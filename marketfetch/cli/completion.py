"""`marketfetch completion` prints what a shell needs to complete commands, options and values."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the completion of SHELL: of commands, options, vendors, datasets, jobs, keys, schedules and stored symbols.

    Put the line of the examples into ~/.bashrc or ~/.zshrc; fish reads the file by itself. Bash needs 4.4 or newer.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "marketfetch", COMPLETE_VARIABLE).source())


#: The variable by which a shell asks for completions, as click names it after the command.
COMPLETE_VARIABLE = "_MARKETFETCH_COMPLETE"
