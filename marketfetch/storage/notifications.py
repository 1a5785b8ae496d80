"""Events that are sent to people and programs: recorded first, then sent, so that a crash in between loses none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class Notification:
    """An event for one target. `id` is that of the event, `body` what is sent (JSON), `tries` how often it was claimed."""

    id: str
    target: str
    kind: str
    body: str
    created_ms: int
    tries: int = 0


class Notifications:
    """The tables `notifications` and `conditions` of a store. Moments are Unix ms. Every method may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._database = store.database
        self._sql = statements("sql/notifications.sql", store.database.spelling)

    def begin(self, kind: str, subject: str, event_id: str, *, at_ms: int, of_event: Sequence[Notification] = ()) -> bool:
        """Notes that a condition is in force, and records its event for each target, in one transaction.

        False if it was in force before: then nothing is recorded.
        """

        def begun(execute: Execute) -> bool:
            if not execute(self._sql["begin"], kind, subject, event_id, at_ms):
                return False
            self._add(execute, of_event)
            return True

        return self._database.change(begun)

    def end(self, kind: str, subject: str) -> bool:
        """Notes that a condition is over. False if it was not in force."""
        return bool(self._database.change(lambda execute: execute(self._sql["end"], kind, subject)))

    def in_force(self, kind: str) -> dict[str, int]:
        """The subjects of the conditions of this kind, and since when each is in force."""
        return {subject: int(since) for subject, since in self._database.read(self._sql["in_force"], kind)}

    def ended_jobs(self, *, since_ms: int, limit: int) -> list[tuple[str, int]]:
        """Jobs that have ended since then and have no event yet, with when they ended."""
        found = self._database.read(self._sql["ended_jobs"], since_ms, since_ms, limit)
        return [(job_id, int(ended)) for job_id, ended in found]

    def add(self, of_event: Sequence[Notification]) -> None:
        """Records an event for each target. One that is recorded already stays as it is."""
        self._database.change(lambda execute: self._add(execute, of_event))

    def _add(self, execute: Execute, of_event: Sequence[Notification]) -> None:
        for one in of_event:
            execute(self._sql["add"], one.id, one.target, one.kind, one.body, one.created_ms, one.created_ms)

    def due(self, *, now_ms: int, limit: int) -> list[Notification]:
        """What may be sent now, the longest due first."""
        rows = self._database.read(self._sql["due"], now_ms, limit)
        return [
            Notification(event_id, target, kind, body, int(created), int(tries))
            for event_id, target, kind, body, created, tries in rows
        ]

    def claim(self, one: Notification, *, until_ms: int) -> bool:
        """Reserves it for this process until then. False if another process was first."""
        return bool(self._database.change(lambda ask: ask(self._sql["claim"], until_ms, one.id, one.target, one.tries)))

    def sent(self, one: Notification, *, at_ms: int) -> None:
        self._database.change(lambda execute: execute(self._sql["sent"], at_ms, one.id, one.target))

    def failed(self, one: Notification, *, due_ms: int, error: str) -> None:
        """Notes why it was not sent, and when it is tried again."""
        self._database.change(lambda execute: execute(self._sql["failed"], due_ms, error, one.id, one.target))

    def given_up(self, one: Notification, *, at_ms: int, error: str) -> None:
        self._database.change(lambda execute: execute(self._sql["given_up"], at_ms, error, one.id, one.target))

    def waiting(self) -> list[tuple[str, int, str]]:
        """Per target how many events are not sent yet, and the error of one of them, "" for none."""
        return [(target, int(many), error) for target, many, error in self._database.read(self._sql["waiting"])]

    def given_up_since(self, since_ms: int) -> list[tuple[str, int, str]]:
        """The same of those that were given up since then."""
        rows = self._database.read(self._sql["given_up_since"], since_ms)
        return [(target, int(many), error) for target, many, error in rows]

    def forget(self, *, before_ms: int) -> None:
        """Deletes what was sent or given up and is older than that."""

        def forgotten(execute: Execute) -> None:
            execute(self._sql["forget_notifications"], before_ms)
            execute(self._sql["forget_jobs"], before_ms)

        self._database.change(forgotten)
