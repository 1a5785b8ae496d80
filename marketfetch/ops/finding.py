"""One check's result, and a check that has a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["ok", "warning", "error"]


class Finding(BaseModel):
    """One check's result. An "error" stops fetching; a "warning" lets it continue, with the risk that the sentence names."""

    model_config = ConfigDict(frozen=True)

    level: Level
    subject: str
    sentence: str


class Trial:
    """Makes findings in a thread of its own, from now on and for at most `seconds`.

    A server that accepts a connection and then says nothing holds up its own trial only, and not the end of the process.
    """

    def __init__(
        self,
        subject: str,
        work: Callable[[], Iterator[Finding]],
        *,
        seconds: float,
        next_step: str,
        late: Level = "error",
    ) -> None:
        """`late`: what it is if the time limit passes."""
        self._subject = subject
        self._seconds = seconds
        self._next_step = next_step
        self._late: Level = late
        self._found: list[Finding] = []
        self._raised: list[Exception] = []
        self._deadline = time.monotonic() + seconds
        self._thread = threading.Thread(target=self._run, args=(work,), name=f"check of {subject}", daemon=True)
        self._thread.start()

    def findings(self) -> list[Finding]:
        """What was found by the end, or within the time limit; then with an error that says so. Raises what the work raised."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        late = self._thread.is_alive()
        if self._raised:
            raise self._raised[0]
        found = list(self._found)
        if late:
            sentence = f"No answer within {self._seconds:g} s. {self._next_step}"
            found.append(Finding(level=self._late, subject=self._subject, sentence=sentence))
        return found

    def _run(self, work: Callable[[], Iterator[Finding]]) -> None:
        try:
            for one in work():
                self._found.append(one)
        except Exception as error:
            self._raised.append(error)


def as_sentence(text: str) -> str:
    """`text` with a capital at its beginning and a full stop at its end; the name of a setting keeps its letters."""
    first = text.partition(" ")[0]
    named = "." in first or "_" in first
    return f"{text[:1] if named else text[:1].upper()}{text[1:].rstrip('.')}."
