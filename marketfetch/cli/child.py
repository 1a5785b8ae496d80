"""`python -P -m marketfetch.cli.child worker ...`: `celery -A marketfetch worker ...`, which starts in less time.

Celery's command imports every command of every package that adds one, Flower's web server too: 0.3 s of CPU that neither a
worker nor beat has a use for.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click
from celery import maybe_patch_concurrency

_ALONE = ("worker", "beat")


def main() -> None:
    """Runs the command of Celery that the arguments name, for our app."""
    if sys.argv[1] not in _ALONE:
        from celery.__main__ import main as celery

        sys.argv[:1] = ["celery", "-A", "marketfetch"]
        celery()
    maybe_patch_concurrency()
    from celery.bin.base import CLIContext

    name = sys.argv[1]
    try:
        app = import_module("marketfetch").app
    except click.ClickException as error:  # wrong settings
        error.show()
        sys.exit(error.exit_code)
    command = getattr(import_module(f"celery.bin.{name}"), name)
    context = CLIContext(app=app, no_color=False, workdir=None, quiet=False)
    command.main(sys.argv[2:], prog_name=f"celery {name}", obj=context, auto_envvar_prefix=f"CELERY_{name.upper()}")


if __name__ == "__main__":
    main()
