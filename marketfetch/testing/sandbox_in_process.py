"""marketfetch in one process: simulated vendors, a gate in memory, workers without processes, SQLite in a folder.

All of it is the code that runs in production, from `submit` to the stored rows. In place of what is around it stand: for the
network `simulated_vendors.py`, for Redis `gate_in_memory.py`, for the broker and the workers `tasks/in_process.py`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from marketfetch import configured, connections, settings, vendors
from marketfetch.extras import need

if TYPE_CHECKING:
    from marketfetch.sandbox.faults import Fault
    from marketfetch.testing.gate_in_memory import GateInMemory
    from marketfetch.testing.simulated_vendors import SimulatedCall, SimulatedVendors

#: A wait for a pause or a backoff is skipped up to this long; a countdown of an hour stays one.
_PATIENCE_S: Final = 600.0
_KEY: Final = "test:no-secret"


class InProcessSandbox:
    """What a test steers. Everything that is sent has ended when the call that sends it returns, unless it is held."""

    def __init__(self, simulated: SimulatedVendors, workers: Any, memory: GateInMemory) -> None:
        self._vendors = simulated
        self._workers = workers
        self._memory = memory

    @property
    def calls(self) -> list[SimulatedCall]:
        """The calls that the vendors have had, in order."""
        return list(self._vendors.calls)

    def refuse(
        self, times: int = 1, *, provider: str | None = None, symbol: str | None = None, retry_after_s: float | None = None
    ) -> None:
        """The next calls exceed a limit of the vendor: a 429 or what the vendor sends instead."""
        self.fault("429", times, provider=provider, symbol=symbol, retry_after=retry_after_s)

    def fault(self, kind: str, times: int = 1, **which: Any) -> None:
        """The next `times` calls fail: "429", "500", "503", "html", "cut_json", "bad_rows", "hang", "reset", "truncate", ...

        `which`: `provider`, `symbol`, `key`, and what the kind takes (docs/sandbox.md). Raises ValueError.
        """
        self._add_fault(kind, count=times, **which)

    @contextmanager
    def outage(self, *, provider: str | None = None, symbol: str | None = None, kind: str = "503") -> Iterator[None]:
        """Within the block every call of this vendor, or for this symbol, fails. At its end work goes on."""
        fault = self._add_fault(kind, rate=1.0, provider=provider, symbol=symbol)
        try:
            yield
        finally:
            self._vendors.end_fault(fault)
        self.advance(_PATIENCE_S)

    def reply(
        self,
        body: Any,
        *,
        symbol: str | None = None,
        provider: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """From now on the vendor sends this reply, for this symbol: text or bytes as they are, anything else as JSON."""
        self._vendors.script(body, symbol=symbol, provider=provider, status=status, headers=headers or {})

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within the block nothing is fetched: jobs stay "running", tasks PARKED. At its end all of it is done."""
        self._workers.held = True
        try:
            yield
        finally:
            self._workers.held = False
        self.work()

    def work(self) -> None:
        """Does what is to be done, without waiting for what is due later than in ten minutes."""
        self._workers.work(patience_s=_PATIENCE_S)

    def advance(self, seconds: float) -> None:
        """Moves the gate's clock, and does what is due by then: tasks with a countdown, keys that rest."""
        self._memory.advance(seconds)
        self.work()

    def _add_fault(self, kind: str, **fields: Any) -> Fault:
        return self._vendors.add_fault(kind=kind, **{name: value for name, value in fields.items() if value is not None})


@contextmanager
def in_process_sandbox(folder: str | PathLike[str], *, seed: int = 1) -> Iterator[InProcessSandbox]:
    """Within the block marketfetch uses nothing outside this process but files in `folder`. The prices follow from `seed`.

    The folder is made if it does not exist; its database holds what an earlier block has stored there.
    Raises MissingExtra where the extra [testing] is not installed.
    """
    need("celery", "requests", "fakeredis", "lupa", "tornado", for_what="The in-process sandbox (marketfetch.testing)")
    home = Path(folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    from marketfetch.testing.gate_in_memory import GateInMemory
    from marketfetch.testing.simulated_vendors import SimulatedVendors

    # Before the settings of the sandbox: what the Celery app reads when it is loaded must not be theirs.
    in_process = importlib.import_module("marketfetch.tasks.in_process")
    with ExitStack() as stack:
        stack.enter_context(settings.override(_variables(home)))
        _forget_settings()
        stack.callback(_forget_settings)
        memory = GateInMemory()
        stack.enter_context(memory.clock())
        stack.enter_context(connections.replaced(memory.redis))
        simulated = SimulatedVendors(seed=seed, today=datetime.now(UTC).date())
        stack.enter_context(simulated.instead_of_the_network())
        workers = in_process.InProcessWorkers(memory.advance)
        stack.enter_context(workers.installed())
        sandbox = InProcessSandbox(simulated, workers, memory)

        def woken(pool: str) -> None:
            workers.pools.add(pool)
            sandbox.work()

        memory.on_wake = woken
        yield sandbox


def _forget_settings() -> None:
    configured.options.cache_clear()
    configured.keys.cache_clear()


def _variables(folder: Path) -> dict[str, str]:
    """The settings of the sandbox, and none of the user's: keys without limits, and no file of settings."""
    from marketfetch.testing.simulated_vendors import base_url

    (folder / "marketfetch.toml").touch()
    found = {
        settings.CONFIG_VARIABLE: str(folder / "marketfetch.toml"),
        "MARKETFETCH_REDIS_URL": "redis://sandbox.invalid:6379/0",
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{folder / 'marketfetch.db'}",
        "MARKETFETCH_STATE_DIR": str(folder / "state"),
    }
    for name in vendors.names():
        prefix = f"MARKETFETCH_PROVIDERS__{name.upper()}__"
        found |= {f"{prefix}API_KEYS": json.dumps([_KEY]), f"{prefix}LIMITS": "[]", f"{prefix}BASE_URL": base_url(name)}
    return found
