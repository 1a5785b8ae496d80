"""The servers that `up` starts: a Valkey if no Redis is configured, and the vendor sandbox with --sandbox.

Each is a context manager that stops what it started; its `tend` starts an ended server again and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from marketfetch.addresses import redis_url
from marketfetch.cli.sandboxed import vendors_at
from marketfetch.cli.signals import uninterrupted
from marketfetch.local import sandbox_note
from marketfetch.local.private_files import private_file, private_folder
from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.local.valkey_server import ServerError, Valkey, adopt_valkey, start_valkey


class EmbeddedRedis:
    """The `configured` Redis, which `up` neither starts nor stops; or a Valkey with its data in `folder`.

    A Valkey that a killed `up` left behind is taken over with its data.
    """

    def __init__(self, folder: Path, *, configured: SecretStr | None) -> None:
        self.folder = folder
        self.valkey: Valkey | None = None
        if configured is None:
            self.valkey = adopt_valkey(folder) or start_valkey(folder)
            self.url = self.valkey.url
        else:
            self.url = redis_url().text

    def tend(self) -> list[str]:
        """Starts an ended Valkey again: on its old port, where the workers look for it, and with its data."""
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
    """The sandbox, and the note by which other processes in the folder find its vendors, its Redis and its database.

    The database is always the sandbox's own, as its rows are invented; and so is the archive, where `archived` wants one.
    """

    def __init__(self, state_dir: Path, *, redis_url: str, archived: bool = False) -> None:
        home = sandbox_note.home(state_dir)
        self.state_dir = state_dir
        self.database = home / sandbox_note.DATABASE
        self.log = home / "logs" / "sandbox.log"
        private_folder(self.log.parent)
        private_file(self.database)
        self.sandbox: Sandbox = start_sandbox(log=self.log)
        self.settings = {
            "redis_url": redis_url,
            # Messages with invented rows never go through a configured broker.
            "broker_url": redis_url,
            "database_url": f"sqlite:///{quote(str(self.database.absolute()))}",
            # "" empties the configured one, which `replay` would store as real bars.
            "archive": str((home / sandbox_note.ARCHIVE).absolute()) if archived else "",
            **vendors_at(self.sandbox.base_urls, label="sandbox"),
        }
        sandbox_note.leave(state_dir, self.settings)

    def tend(self) -> list[str]:
        """Starts an ended sandbox again, on the port that is in the workers' settings."""
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
        sandbox_note.forget(self.state_dir)
        self.sandbox.stop()
