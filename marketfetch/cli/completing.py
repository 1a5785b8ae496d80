"""What a shell completes a word to: vendors, datasets, jobs, keys, schedules, settings, tokens, universes and stored symbols.

A completion runs at each press of the Tab key, so it reads the settings and the database, never Redis, and whatever fails
completes to nothing: a message would stand in the middle of the line that is being typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

#: Shells list more than this badly.
_MOST: Final = 100


def _silent(values: Callable[[click.Context, str], Iterable[str | CompletionItem]]) -> Completer:
    """Completes to the values that begin with the typed word."""

    def completer(ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem]:
        import contextlib
        import io
        import warnings

        found: list[CompletionItem] = []
        silence = contextlib.redirect_stderr(io.StringIO())
        with contextlib.suppress(Exception), warnings.catch_warnings(), silence:
            warnings.simplefilter("ignore")
            for one in values(ctx, typed):
                item = one if isinstance(one, CompletionItem) else CompletionItem(one)
                if str(item.value).startswith(typed):
                    found.append(item)
        return found[:_MOST]

    return completer


@_silent
def providers(_ctx: click.Context, _typed: str) -> Iterable[str]:
    from marketfetch.vendors import names

    return names()


@_silent
def datasets(ctx: click.Context, _typed: str) -> Iterable[str]:
    """Those of the vendor that the line names already, else those of all."""
    from marketfetch.vendors import names, vendor

    # The words before an option without its value are not read yet.
    named = next((one for one in [*ctx.params.values(), *ctx.args] if one in names()), None)
    found = [dataset for name in ([named] if named else names()) for dataset in vendor(str(name)).datasets]
    return dict.fromkeys(["bars", *(one.name for one in found)])


@_silent
def jobs(_ctx: click.Context, typed: str) -> Iterable[CompletionItem]:
    """The latest jobs: their ids, and their names once a letter is typed."""
    from datetime import UTC, datetime

    from marketfetch.jobs.lookup import recorded

    found = recorded().latest_jobs(_MOST)
    for job in found:
        submitted = f"{datetime.fromtimestamp(job.created_at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        yield CompletionItem(job.id, help=" ".join(filter(None, (submitted, job.name))))
    if typed:
        yield from map(CompletionItem, dict.fromkeys(job.name for job in found if job.name))


@_silent
def key_labels(ctx: click.Context, _typed: str) -> Iterable[str]:
    from marketfetch.settings import get_settings
    from marketfetch.vendors import names

    chosen = ctx.params.get("provider")
    return [key.label for name in names() if chosen in (None, name) for key in get_settings().provider(name).keys]


@_silent
def schedules(_ctx: click.Context, _typed: str) -> Iterable[str]:
    from marketfetch.settings import get_settings

    return [one.name for one in get_settings().schedule]


@_silent
def setting_names(_ctx: click.Context, _typed: str) -> Iterable[str]:
    from marketfetch.ops.settings_shown import names

    return names()


@_silent
def tokens(_ctx: click.Context, _typed: str) -> Iterable[str]:
    """The names of the tokens that can be revoked."""
    from marketfetch.ops.access_tokens import listed

    return [one.name for one in listed() if one.revoked_ms is None]


@_silent
def symbols(_ctx: click.Context, typed: str) -> Iterable[str]:
    """The universes of the settings, and the symbols of which bars are stored."""
    from marketfetch.settings import get_settings

    universes = [f"@{name}" for name in sorted(get_settings().universes)]
    if typed.startswith("@"):
        return universes
    from marketfetch.jobs.lookup import recorded
    from marketfetch.storage.stored_series import stored_symbols

    return [*universes, *stored_symbols(recorded())]


@_silent
def vendors_then_symbols(ctx: click.Context, typed: str) -> Iterable[str]:
    """Of a command whose first word may be a vendor: vendors and symbols, then symbols."""
    from marketfetch.vendors import names

    vendors = [] if ctx.params.get("words") else list(names())
    return [*vendors, *(one.value for one in symbols(ctx, ctx.command.params[0], typed))]
