"""The `marketfetch` command, also reachable as `celery -A marketfetch marketfetch`.

The exit codes stand in exit_codes.py. With --json a command that fails prints a problem document on stdout, beside the sentence
on stderr, so that stdout is one JSON document in any case. The modules of the
commands import what is heavy inside their functions, so that `--help` comes at once.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, MutableMapping
from typing import Final

import click

from marketfetch.cli.exit_codes import INTERRUPTED, WRONG_COMMAND
from marketfetch.cli.help_ends import epilog

#: Each command, by the module under `marketfetch.cli` that has it. A module is imported when its command is used or listed.
_MODULES: Final = {
    "archive": ("archive",),
    "catalogue": ("datasets", "vendors"),
    "check": ("check",),
    "compare": ("compare",),
    "completion": ("completion",),
    "dead": ("dead",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "export": ("export",),
    "fetch": ("fetch", "plan"),
    "gaps": ("gaps",),
    "init": ("init",),
    "purge": ("purge",),
    "quotas": ("quotas",),
    "read": ("read",),
    "rejects": ("rejects",),
    "replay": ("replay",),
    "schedule": ("schedule",),
    "search": ("search",),
    "serve": ("serve",),
    "set": ("set_command",),
    "show": ("show",),
    "status": ("status", "watch"),
    "steer": ("cancel", "resume", "retry"),
    "token": ("token",),
    "up": ("up",),
    "update": ("update",),
}
#: Where a command stands: its module, and its name there, which for `set` can't be Python's own.
_PLACES: Final = {name.removesuffix("_command"): (module, name) for module, names in _MODULES.items() for name in names}

#: Where a command notes in click's context that it was asked for JSON.
_AS_JSON = "marketfetch.as_json"
#: Commands that use no setting of the database.
_WITHOUT_DATABASE = ("datasets", "demo", "init", "read", "vendors")


class Commands(click.Group):
    """A group in which every error ends as one sentence, also when Celery's script or a test runs it.

    It imports only the command that is asked for: a command's start is most of what a user waits for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (the library's signature)
        return sorted({*_PLACES, *self._loaded})

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._loaded and cmd_name in _PLACES:
            module, name = _PLACES[cmd_name]
            found: click.Command = getattr(importlib.import_module(f"marketfetch.cli.{module}"), name)
            parts = commands(found, f"{cmd_name} ") if isinstance(found, click.Group) else ()
            for path, one in ((cmd_name, found), *parts):
                one.epilog = epilog(path)
            self._loaded[cmd_name] = found
        return self._loaded.get(cmd_name)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        self._loaded[name or cmd.name or ""] = cmd

    @property
    def commands(self) -> MutableMapping[str, click.Command]:
        """Every command by its name. Imports them all."""
        for name in _PLACES:
            self.get_command(None, name)
        return dict(sorted(self._loaded.items()))

    @commands.setter
    def commands(self, given: MutableMapping[str, click.Command]) -> None:
        self._loaded = dict(given)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Notes whether one JSON document is asked for: a command that is written wrongly is refused before it knows."""
        ctx.meta[_AS_JSON] = "--json" in (args[: args.index("--")] if "--" in args else args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return self._invoke(ctx)
        except click.ClickException as error:
            if ctx.meta.get(_AS_JSON):
                from marketfetch.documents.command_problem import problem

                click.echo(json.dumps(problem(error.format_message(), error.exit_code)))
            raise

    def _invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.MissingParameter:
            raise
        except click.BadParameter as error:
            raise click.BadParameter(_of_numbers(error), error.ctx, error.param, error.param_hint) from None
        except click.Abort as error:
            # A question of click's ends so, by Ctrl-C, at the end of the input, and with any word that is no yes.
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise click.ClickException("The answer was not yes, so nothing was changed.") from None
            click.echo("\nNothing was changed.", err=True)
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if ctx.params.get("traceback"):
                raise
            kind = _WrongValue if type(error).__name__ == _WRONG_VALUE else click.ClickException
            raise kind(_sentence(error)) from None


def _of_numbers(error: click.BadParameter) -> str:
    """The message, with words of ours about a number: click's are `'x' is not a valid integer range`."""
    kind = error.param.type if error.param else None
    if not isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return error.message
    number = "whole number" if isinstance(kind, click.types.IntParamType) else "number"
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    limits = f" from {least:,} to {most:,}" if least is not None and most is not None else ""
    limits = limits or (f", {least:,} or more" if least is not None else "")
    return f"{error.message.partition(' is not ')[0]} is not what it takes: write a {number}{limits}."


#: Errors whose sentence is printed unchanged. They stand by name, so that printing one imports nothing that may be broken.
_PRINTED = ("marketfetch.exceptions.MarketfetchError", "marketfetch.storage.store_errors.StoreError")


#: By its name too. Exits as a wrong word of an option does.
_WRONG_VALUE = "WrongValueError"


class _WrongValue(click.ClickException):
    exit_code = WRONG_COMMAND


def _sentence(error: Exception) -> str:
    if any(f"{kind.__module__}.{kind.__qualname__}" in _PRINTED for kind in type(error).__mro__):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} can't be used: {error.strerror}. Look at what is there, its permissions, and free space."
    from marketfetch.settings import get_settings

    text = f"{type(error).__name__}: {error}"
    for secret in get_settings().secrets():
        text = text.replace(secret, "***")
    return f"This should not happen ({text}). Please report it with what `marketfetch --traceback ...` shows."


def _version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"marketfetch {version('marketfetch')}")
        except PackageNotFoundError:
            click.echo("marketfetch, not installed: run from its source")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--traceback", is_flag=True, hidden=True, help="Show where an error comes from.")
def marketfetch(*, traceback: bool) -> None:  # noqa: ARG001 (read where an error is printed)
    """Market data at the full rate that your API keys allow, and not one call more."""
    context = click.get_current_context()
    if context.invoked_subcommand not in _WITHOUT_DATABASE and not {"--help", "-h"} & set(sys.argv):
        from marketfetch import settings_in_force

        settings_in_force.load()


marketfetch.epilog = epilog("")


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command of a group with the words that call it, such as "quotas pause"; of groups in it themselves, too."""
    for name, one in group.commands.items():
        yield f"{before}{name}", one
        if isinstance(one, click.Group):
            yield from commands(one, f"{before}{name} ")


def main() -> None:
    """The console script."""
    marketfetch(prog_name="marketfetch")
