"""What calls say of their key: a limit, an outage, a verdict. The part of the gate that pauses keys and sets them aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from marketfetch.quotas.scripts import Scripts
from marketfetch.quotas.values import KeyVerdict
from marketfetch.redis_keys import named

if TYPE_CHECKING:
    from redis import Redis

#: The releasers subscribe to this channel; a message is a pool's name. call.lua publishes to it under the same name.
WAKE_CHANNEL: Final = "mf:wake"
#: Characters of a vendor's words that are kept with a key.
_LONGEST_WORDS: Final = 500


class KeyState:
    """A pool in Redis, and the state of its keys. Raises RedisError when Redis is away."""

    def __init__(self, redis: Redis, *, pool: str) -> None:
        self.redis = redis
        self._scripts = Scripts(redis)
        self.pool = pool
        self.prefix = named(redis, f"mf:{{{pool}}}:")

    def requeue(
        self,
        request_id: str,
        *,
        fence: int,
        key_label: str,
        pause_ms: int = 0,
        why: str = "",
        then: Literal["", "grow"] = "",
        unsent: bool = False,
    ) -> bool:
        """Returns a refused or unsent request to its old place in the lane; no attempt is spent.

        Its key is paused for `pause_ms`, doubled with each refusal in a row for `then` "grow". `unsent`: the call
        was never made, so it is not counted.
        """
        return self._requeue(request_id, fence, pause_ms, why, then, "unsent" if unsent else "", key_label) == 1

    def rest_if_unhealthy(
        self,
        request_id: str,
        *,
        fence: int,
        key_label: str,
        rest_ms: int,
        why: str,
        unsent: bool = False,
        unknown: Literal["", "sentence", "refusal"] = "",
        words: str = "",
    ) -> KeyVerdict:
        """Circuit breaker, reported after an unusable reply. Three in a row, to different requests, make the vendor unhealthy.

        "rests": the request has returned to its old place, no attempt spent; its key pauses for `rest_ms`, doubled each time in
        a row, and then probes with one call at a time until a reply is usable. "spends": the request spends an attempt, because
        the vendor is healthy or because this call was the probe; a failed probe also goes to the end of the lane.

        `unknown`: the reader does not know the `words` of the reply, which are counted for `report`. The fifth "refusal" in a
        row without a usable reply between sets the key aside, and the request has returned to its place: "aside".
        """
        done = self._requeue(
            *(request_id, fence, rest_ms, why, "unhealthy", "unsent" if unsent else "", key_label),
            *(unknown, words[:_LONGEST_WORDS]),
        )
        return {2: "spends", 3: "aside"}.get(done, "rests")  # type: ignore[return-value]

    def suspect(self, request_id: str, *, fence: int, key_label: str, why: str, others: Sequence[str]) -> KeyVerdict:
        """Reports that the vendor's own words reject the key. `others`: the labels of the pool's other keys.

        The first time the key becomes suspected, and makes one call at a time until one has a usable reply. A call that was
        sent after that and says the same sets the key aside ("aside"). Either way the request has returned to its old place, no
        attempt spent. "refused": that call has said the same, and no other key is in service; nothing has changed, and the
        caller fails the request.
        """
        done = self._requeue(request_id, fence, 0, why, "suspect", "", key_label, "", "", *others)
        return {3: "aside", 4: "refused"}.get(done, "suspected")  # type: ignore[return-value]

    def pause(self, label: str, *, pause_ms: int, why: str) -> bool:
        """Pauses the key for `pause_ms`; running calls continue. False if a longer pause is in force."""
        return bool(self._scripts.pause(keys=self._keys("counts"), args=[self.prefix, label, pause_ms, why]))

    def resume(self, label: str) -> None:
        """Ends the key's pause or suspicion, or returns a key that was set aside to service. Forgets unknown sentences."""
        self.redis.hdel(
            f"{self.prefix}key:{label}",
            *("until", "why", "aside", "strikes", "struck", "ill", "illby"),
            *("suspect", "verdict", "unknown", "sentences", "sentence"),
        )
        self.redis.zrem(f"{self.prefix}closed", label)
        self.wake()

    def wake(self) -> None:
        """Wakes the releasers that sleep until this gate's next opening."""
        self.redis.publish(named(self.redis, WAKE_CHANNEL), self.pool)

    def _requeue(self, *args: str | int) -> int:
        return int(self._scripts.requeue(keys=self._keys("running", "granted", "ready", "counts"), args=[self.prefix, *args]))

    def _keys(self, *names: str) -> list[str]:
        return [f"{self.prefix}{name}" for name in names]
