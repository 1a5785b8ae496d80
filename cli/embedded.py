"""The servers that `up` brings along: a Valkey where no Redis is configured, and the vendor sandbox if asked for.

Each is a context manager that stops what it started, and has `tend`, which starts again what died and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from cli.sandboxed import NOTE, note, variables
from cli.signals import uninterrupted
from sandbox.run import Sandbox, start_sandbox
from sandbox.servers import ServerError, adopt_valkey, start_valkey
from settings import get_settings
from tasks.place import redis_url


class EmbeddedRedis:
    """The configured Redis, which is left alone; or a Valkey with its data in `folder`.

    A Valkey that a killed `up` has left behind is taken over, with its data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = get_settings().redis_url is None
        self.valkey = (adopt_valkey(folder) or start_valkey(folder)) if own else None
        self.url = self.valkey.url if self.valkey else redis_url()

    def tend(self) -> list[str]:
        """On its old port and with its data, so that workers find it where it was."""
        if self.valkey is None or self.valkey.alive():
            return []
        try:
            with uninterrupted():
                self.valkey = start_valkey(self.folder, port=self.valkey.port)
        except ServerError as error:
            return [f"Valkey does not answer: {error}"]
        return ["Valkey had ended and was started again, with its data"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.valkey:
            self.valkey.stop()


class EmbeddedVendors:
    """The sandbox, and the note by which other commands of the folder find it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "logs" / "sandbox.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.sandbox: Sandbox = start_sandbox(log=self.log)
        self.variables = variables(self.sandbox.base_urls, label="sandbox")
        note(folder, self.variables)

    def tend(self) -> list[str]:
        """On its old port, as the workers know it by that."""
        if self.sandbox.process.poll() is None:
            return []
        self.sandbox.stop()
        try:
            with uninterrupted():
                self.sandbox = start_sandbox(port=urlsplit(self.sandbox.url).port or 0, log=self.log)
        except ServerError as error:
            return [f"the sandbox does not start again: {error}"]
        return [f"the sandbox had ended and was started again (see {self.log})"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        (self.folder / NOTE).unlink(missing_ok=True)
        self.sandbox.stop()
