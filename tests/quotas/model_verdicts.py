"""The model's refusals: what a call that ends without rows does to its key, and where its request goes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from tests.quotas.model_keys import ModelOfKeys
from tests.quotas.model_records import ILL, REFUSED, Key, Record


class ModelOfVerdicts(ModelOfKeys):
    """What vendors say of keys."""

    @abstractmethod
    def _enter(self, one: Record) -> None: ...

    @abstractmethod
    def _still_wanted(self, one: Record) -> bool: ...

    def _leased(self, name: str, fence: int) -> Record | None:
        one = self.records.get(name)
        return one if one and one.place == "running" and one.fence == fence else None

    def requeue(self, name: str, *, fence: int, label: str, pause_ms: int = 0, then: str = "", unsent: bool = False) -> bool:
        one, state = self.records.get(name), self.key(label)
        if pause_ms:
            if then == "grow":
                if state.strikes == 0 or self._anew(one, state):
                    state.strikes, state.struck = state.strikes + 1, self.now
                pause_ms *= 2 ** min(state.strikes - 1, 6)
            self.pause(label, pause_ms=pause_ms)
            self.events["refused"] += 1
        return self._back(one, fence, unsent=unsent)

    def _anew(self, one: Record | None, state: Key) -> bool:
        """The call was sent after the last refusal, and the key does not rest for it."""
        return state.until_ms <= self.now_ms and (one.sent if one else 0) > state.struck

    def _back(self, one: Record | None, fence: int, *, unsent: bool = False) -> bool:
        if one is None or one.place not in ("granted", "running") or one.fence != fence:
            return False
        ran = one.place == "running"
        self._close(one, made=ran and not unsent)
        one.calls -= ran and unsent
        if self._still_wanted(one):
            self._enter(one)
        return True

    def suspect(self, name: str, *, fence: int, label: str, others: Sequence[str]) -> str:
        one, state = self.records.get(name), self.key(label)
        verdict = "aside" if state.aside else "suspected"
        if not state.aside and not state.suspect:
            state.suspect = self.now
            self.events["refused"] += 1
        elif not state.aside and self._leased(name, fence) and one and one.sent > state.suspect:
            if all(self.key(other).aside for other in others):
                return "refused"
            verdict = self._set_aside(state)
        self._back(one, fence)
        return verdict

    def _set_aside(self, state: Key) -> str:
        state.aside, state.suspect, state.unknown = "why", 0, 0
        self.events["refused"] += 1
        return "aside"

    def rest_if_unhealthy(
        self, name: str, *, fence: int, label: str, rest_ms: int, unsent: bool = False, unknown: str = "", words: str = ""
    ) -> str:
        one, state = self.records.get(name), self.key(label)
        state.sentences += bool(words)
        if unknown == "refusal" and self._leased(name, fence) and self._anew(one, state):
            state.unknown += 1
            if state.unknown >= REFUSED:
                self._set_aside(state)
                self._back(one, fence, unsent=unsent)
                return "aside"
        if state.ill_by != name:
            state.ill, state.ill_by = state.ill + 1, name
        if state.ill < ILL:
            return "spends"
        if state.strikes and one and self._anew(one, state):
            state.strikes, state.struck = state.strikes + 1, self.now
            self.pause(label, pause_ms=rest_ms * 2 ** min(state.strikes - 1, 6))
            self.events["refused"] += 1
            if self._leased(name, fence):
                one.tag = 0
            return "spends"
        self.requeue(name, fence=fence, label=label, pause_ms=rest_ms, then="grow", unsent=unsent)
        return "rests"
