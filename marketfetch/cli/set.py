"""`marketfetch set`: settings changed at run time, in force in every worker within seconds."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from marketfetch.cli import completing
from marketfetch.cli.screen import hint, json_option, table

if TYPE_CHECKING:
    from marketfetch.ops.changing_settings import Change, Shown

_LATEST = "latest"
_ALL = "every setting"


@click.command("set")
@click.argument("name", required=False, shell_complete=completing.setting_names)
@click.argument("values", nargs=-1)
@click.option("--add", "label", metavar="LABEL", help="Add the API key LABEL to NAME; its secret is typed, or read from stdin.")
@click.option("--owner", metavar="OWNER", help="With --add: the key serves the jobs of this owner alone.")
@click.option(
    "--unset",
    metavar="NAME",
    shell_complete=completing.setting_names,
    help="Take a setting out of the database, so that TOML or the default gives it.",
)
@click.option("--undo", is_flag=False, flag_value=_LATEST, metavar="[CHANGE]", help="Undo a change, by its number; the latest.")
@click.option("--history", is_flag=False, flag_value=_ALL, metavar="[NAME]", help="Show who changed what and when.")
@click.option("--list", "listing", is_flag=True, help="List the settings that can be changed, each with its value and source.")
@click.option("--if-version", type=click.IntRange(min=0), help="Change only what still has this version, as --list shows.")
@click.option("--new-master-key", is_flag=True, help="Print a new master key, which seals API keys in the database.")
@click.option("--rotate-master-key", is_flag=True, help="Seal all API keys of the database anew, with the first master key.")
@json_option
def set_command(
    *,
    name: str | None,
    values: tuple[str, ...],
    label: str | None,
    owner: str | None,
    unset: str | None,
    undo: str | None,
    history: str | None,
    listing: bool,
    if_version: int | None,
    new_master_key: bool,
    rotate_master_key: bool,
    as_json: bool,
) -> None:
    """Change a setting at run time: set NAME VALUE. It is in force in every worker within seconds.

    The database keeps it; what marketfetch.toml or the environment sets stays in force. A value is JSON or plain text,
    and several values are a list: `marketfetch set providers.VENDOR.limits 5/minute 500/day`. Of an API key: `marketfetch set
    providers.VENDOR.api_keys --add main`. docs/settings-at-run-time.md has the names.
    """
    asked = [name is not None, unset is not None, undo is not None, history is not None]
    if sum([*asked, listing, new_master_key, rotate_master_key]) != 1:
        raise click.UsageError(
            "Give a NAME and a value, or one of --unset, --undo, --history, --list and the master key's options."
        )
    if owner is not None and label is None:
        raise click.UsageError("--owner stands with --add, and names the owner of the key that is added.")
    if name is None and (values or label):
        raise click.UsageError("A value and --add stand with the NAME of a setting.")
    from marketfetch.cli.owner import owner as user
    from marketfetch.ops import changing_settings

    if listing:
        _list(as_json=as_json)
    elif history is not None:
        _history("" if history == _ALL else history, as_json=as_json)
    elif new_master_key:
        from marketfetch.sealing import new_master_key as made

        key = made()
        click.echo(json.dumps({"master_key": key}) if as_json else key)
        hint("Give it to every process: as MARKETFETCH_MASTER_KEY, or in the file of MARKETFETCH_MASTER_KEY_FILE. Keep a copy.")
    elif rotate_master_key:
        many = changing_settings.rotate()
        if as_json:
            click.echo(json.dumps({"sealed": many}))
        hint(f"{many:,} values are sealed anew with the first master key. Once every process has it, the old one may go.")
    elif undo is not None:
        if undo != _LATEST and not (undo.isdecimal() and int(undo) > 0):
            raise click.BadParameter("write the number of a change, as --history shows it.", param_hint="--undo")
        _changed(changing_settings.undo(None if undo == _LATEST else int(undo), who=user()), as_json=as_json)
    elif unset is not None:
        _changed(changing_settings.unset(unset, who=user(), based_on=if_version), as_json=as_json)
    elif name is not None:
        full = f"{name}.{label}" if label else name
        _changed(_put(full, values, owner=owner, who=user(), based_on=if_version), as_json=as_json)


def _put(name: str, values: tuple[str, ...], *, owner: str | None, who: str, based_on: int | None) -> Change:
    from marketfetch.ops import changing_settings

    changing_settings.refuse_unknown(name)
    if changing_settings.takes_secret(name):
        if values:
            raise click.UsageError(
                f"{name} is a secret, and the shell keeps what you type on its line: leave it out, and type it when asked."
            )
        # A change that another user makes while this one types comes first.
        seen = changing_settings.version_of(name) if based_on is None else based_on
        if owner is not None:
            from marketfetch.ops.owned_keys import put_key

            return put_key(name, _secret(name), owner=owner, who=who, based_on=seen)
        return changing_settings.put(name, _secret(name), who=who, based_on=seen)
    if not values:
        raise click.UsageError(f"Give the value of {name}, or take it out of the database: --unset {name}.")
    return changing_settings.put(name, _value(name, values), who=who, based_on=based_on)


def _secret(name: str) -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt(f"The secret of {name}", hide_input=True, err=True)
        return typed.strip()
    secret = sys.stdin.readline().strip()
    if not secret:
        raise click.UsageError(f"The secret of {name} is read from stdin, which is empty.")
    return secret


def _value(name: str, values: tuple[str, ...]) -> Any:
    """One value as JSON if it is JSON, else as text; several, or one of a list, as a list."""
    from marketfetch.ops import changing_settings

    found = [_as_json(one) for one in values]
    if len(found) > 1 or (changing_settings.takes_list(name) and isinstance(found[0], str)):
        return found
    return found[0]


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _changed(change: Change, *, as_json: bool) -> None:
    from marketfetch.documents.setting_documents import change_document

    if as_json:
        click.echo(json.dumps(change_document(change)))
        return
    _say(change)
    if change.name.startswith(("schedule.", "universes.")):
        from marketfetch.exceptions import MarketfetchError
        from marketfetch.jobs.schedule_faults import unrunnable
        from marketfetch.jobs.scheduling import schedules

        # The change is recorded by now: that Redis is away is no error of it.
        with contextlib.suppress(MarketfetchError):
            for sentence in unrunnable(schedules()):
                hint(sentence)


def _say(change: Change) -> None:
    click.echo(f"{change.name}: {_shown(change.before)} -> {_shown(change.after)} (change {change.version})")
    if change.elsewhere:
        hint(f"{change.name} is given {change.elsewhere}, which wins: the change is kept, and waits until it is removed there.")
    if not change.announced:
        hint("Redis is away, so the workers find the change by themselves within 30 s.")
    hint(f"`marketfetch set --undo {change.version}` takes it back.")


def _list(*, as_json: bool) -> None:
    from marketfetch.documents.setting_documents import settings_document
    from marketfetch.ops.settings_shown import listed

    found = listed()
    if as_json:
        click.echo(json.dumps(settings_document(found)))
        return
    rows = [(one.name, "secret" if one.secret else json.dumps(one.value), one.where, str(one.version or "")) for one in found]
    table([("setting", "value", "given", "version"), *rows], elastic={"value": 12, "given": 12}, go=("version",))
    for one in found:
        if one.wrong:
            hint(f"{one.name} of the database is not used: {one.wrong}")


def _history(name: str, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from marketfetch.addresses import database_choice
    from marketfetch.documents.setting_documents import changes_document
    from marketfetch.ops import changing_settings

    found = changing_settings.history(name)
    if as_json:
        click.echo(json.dumps(changes_document(found)))
        return
    if not found:
        hint(f"No setting was changed at run time: {changing_settings.where()} has no change. {database_choice()}")
        return
    rows = [
        (
            str(one.version),
            f"{datetime.fromtimestamp(one.at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}",
            one.changed_by,
            one.name,
            _shown(one.before),
            _shown(one.after),
            f"undoes {one.undoes}" if one.undoes else "",
        )
        for one in found
    ]
    table(
        [("change", "when (UTC)", "who", "setting", "before", "after", ""), *rows],
        elastic={"before": 8, "after": 8},
        go=("who",),
    )


def _shown(value: Shown | None) -> str:
    if value is None:
        return "not set"
    return "secret" if value.secret else json.dumps(value.value)
