"""Releaser: asks the gates which requests may run now, and publishes exactly those.

It is a step of the worker's blueprint, so it outlives the consumer's reconnects. It has its own connections and needs no
leader, as admit is atomic. It releases for the vendors whose queues its worker consumes at the moment: a message in a queue
that no worker consumes would hold quota until its grant expires. It sleeps until the next opening or a wake message.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu.exceptions import OperationalError
from kombu.utils.json import loads
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from marketfetch import connections, settings_in_force, vendors
from marketfetch.addresses import broker, broker_setting
from marketfetch.configured import keys
from marketfetch.jobs.feeding import withdraw_cancelled
from marketfetch.ops import dead_letters, workers
from marketfetch.ops.alerts import Alert, Outage
from marketfetch.quotas import Gate, Grant
from marketfetch.quotas.epoch import Epoch
from marketfetch.quotas.key_state import WAKE_CHANNEL
from marketfetch.redis_keys import named
from marketfetch.settings import get_settings
from marketfetch.storage.store import StoreError

from .. import deliveries
from ..hardening.fork_with_locks import at_work
from ..sending.messages import FetchMessage, job_message
from ..sending.revoke import mark_revoked
from .consumed_queues import consumed_vendors
from .grant_producer import BrokerAway, GrantProducer, Publishes
from .key_history import ended_since, key_histories
from .reservations import Reservations
from .sweeper import sweep_now

log = structlog.get_logger("marketfetch.releaser")

_LONGEST_SLEEP_S: Final = 1.0
#: A grant may be this much ahead of its slot, as its message needs some milliseconds to reach a child. A busy worker uses a
#: third of it, so that its children spend little time waiting.
_AHEAD_MS: Final = 60
#: A silent reconnect would hide that Redis was restarted, and that the gate's history may lack its last second.
_NO_RETRY: Final = Retry(NoBackoff(), 0)
_STOP_CHECK_S: Final = 0.1
_ADMIT_AGAIN_S: Final = 0.05
#: The interval of the heartbeat; its key expires after three of them.
_HEARTBEAT_S: Final = 5.0
#: The most bytes of batches that wait to be stored, per pool; at most a quarter of Redis's maxmemory, where it has one.
_MOST_UNSTORED: Final = 256 << 20


class Releaser(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Starts one releasing thread per worker, stops it with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._loop: ReleasingLoop | None = None

    def start(self, worker: Any) -> None:
        settings_in_force.refresh()  # before the children are asked to use a key
        self._loop = ReleasingLoop(worker.app, consumed=partial(consumed_vendors, worker.app), slots=worker.concurrency)
        self._loop.start()
        worker.wait_for_soft_shutdown = partial(_soft_shutdown, self._loop, worker.wait_for_soft_shutdown)

    def stop(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if self._loop:
            self._loop.stop()

    terminate = stop


def _soft_shutdown(loop: ReleasingLoop, wait: Callable[[], None]) -> None:
    """Stops granting, then waits for running calls as Celery does: Celery stops its steps only after that wait."""
    loop.end()
    wait()


class ReleasingLoop(threading.Thread):
    """The thread: admits, publishes, sleeps; without Redis it waits and continues. At its end it returns unstarted grants."""

    def __init__(self, app: Any, *, consumed: Callable[[], tuple[str, ...]], slots: int) -> None:
        """`consumed` returns the vendors whose queues the worker consumes."""
        super().__init__(name="releaser", daemon=True)
        self._app = app
        self._consumed = consumed
        #: The vendors that this releaser serves now.
        self._providers: tuple[str, ...] = ()
        self._most_granted = 4 * slots
        self._ending = threading.Event()
        self._outage = Outage("releaser")
        self._broker_away = Alert("broker")
        self._newer = {provider: Alert(f"newer requests of {provider}") for provider in vendors.names()}
        #: When the next heartbeat is due, on the monotonic clock.
        self._alive_until = 0.0
        #: The most bytes of batches that wait to be stored, per pool.
        self._most_unstored = _MOST_UNSTORED
        #: Pools whose keys this worker has seen used, even where ledger and gate have lost it.
        self._used_pools: set[str] = set()
        self._reservations = Reservations()
        self._name = workers.own_name()
        #: The latest grants of this releaser, with their pools; older ones are started, or back in their place.
        self._granted: deque[tuple[str, Grant]] = deque(maxlen=len(vendors.names()) * self._most_granted)

    def run(self) -> None:
        while not self._ending.is_set():
            self._serves(self._consumed())
            if not self._providers:
                self._ending.wait(_STOP_CHECK_S)
                continue
            try:
                with connections.new_redis(socket_timeout=10, socket_connect_timeout=5, retry=_NO_RETRY) as redis:
                    self._release(redis)
            except StoreError as error:
                # The database is needed when the gate has lost its history, and to reserve calls before they are published.
                with at_work:
                    self._outage.goes_on("the database", error)
                self._ending.wait(_LONGEST_SLEEP_S)
            except BrokerAway as error:
                with at_work:
                    self._outage.goes_on("the broker", error)
                self._ending.wait(_LONGEST_SLEEP_S)
            except (RedisError, OperationalError, OSError) as error:
                with at_work:
                    self._outage.goes_on("Redis", error)
                self._ending.wait(_LONGEST_SLEEP_S)
            except Exception:
                # Without this, a dead releaser would silently stop the whole worker.
                log.exception("releaser failed", next_step="goes on in 1 s")
                self._ending.wait(_LONGEST_SLEEP_S)

    def end(self) -> None:
        """Stops granting. Does not wait."""
        self._ending.set()

    def stop(self) -> None:
        self.end()
        self.join(timeout=5)

    def _serves(self, providers: tuple[str, ...]) -> None:
        if providers != self._providers:
            log.info(
                "releases calls of other vendors", before=" ".join(self._providers) or "none", now=" ".join(providers) or "none"
            )
            self._providers = providers

    def _goes_on(self) -> bool:
        return not self._ending.is_set() and self._consumed() == self._providers

    def _release(self, redis: Redis) -> None:
        """Serves the gates until the connection breaks, or the worker consumes other queues.

        The epochs are valid only for this connection.
        """
        with at_work:
            epochs = [self._begin(Gate(redis, pool=provider)) for provider in self._providers]
            self._alive_until = 0.0
            self._beat(redis)
        with redis.pubsub(ignore_subscribe_messages=True) as wakes, self._app.connection_for_write() as connection:
            wakes.subscribe(named(redis, WAKE_CHANNEL))
            try:
                self._serve_all(redis, epochs, wakes, connection)
            except BrokerAway as error:
                with at_work:
                    self._return_grants(redis, self._providers)
                    why = dead_letters.clean(str(error).partition("\n")[0])
                    self._broker_away.holds(
                        f"The broker {broker().shown} takes no messages of the worker on {socket.gethostname()} ({why}), so "
                        f"nothing is granted. Start that broker, or correct {broker_setting()}.",
                        redis=redis,
                    )
                raise
            left = () if self._ending.is_set() else self._consumed()
            self._return_grants(redis, [one for one in self._providers if one not in left])
            workers.stop_beating(redis, self._name)

    def _serve_all(self, redis: Redis, epochs: Sequence[Epoch], wakes: Any, connection: Any) -> None:
        with at_work:
            producer = GrantProducer(self._app, connection, self._providers)
        # Per pool, when the next admit is due; a wake message brings it forward.
        due = {epoch.gate.pool: 0.0 for epoch in epochs}
        while self._goes_on():
            with at_work:
                self._beat(redis)
                if settings_in_force.refresh(redis=redis, store=connections.ledger):
                    due = dict.fromkeys(due, 0.0)
                for epoch in epochs:
                    if time.monotonic() >= due[epoch.gate.pool]:
                        due[epoch.gate.pool] = time.monotonic() + self._serve(epoch, producer)
                self._outage.over()
            for pool in self._sleep(wakes, until=min(due.values())):
                due[pool] = 0.0

    def _beat(self, redis: Redis) -> None:
        """Renews the heartbeat when it is due."""
        if time.monotonic() > self._alive_until:
            workers.beat(redis, self._name, self._providers)
            self._most_unstored = _most_unstored(redis)
            self._alive_until = time.monotonic() + _HEARTBEAT_S

    def _return_grants(self, redis: Redis, providers: Sequence[str]) -> None:
        """Returns unstarted grants: in the lane they keep their place and hold no quota."""
        for provider in providers:
            returned = Gate(redis, pool=provider).return_grants([grant for pool, grant in self._granted if pool == provider])
            if returned:
                log.info("returned unstarted grants", pool=provider, requests=returned)

    def _sleep(self, wakes: Any, *, until: float) -> set[str]:
        """Sleeps until that moment, a wake message, other queues, or the worker's end; returns the pools that were woken."""
        woken: set[str] = set()
        while self._goes_on():
            left_s = until - time.monotonic()
            message = wakes.get_message(timeout=max(0.0, min(left_s, _STOP_CHECK_S)))
            while message:  # one admit serves every wake message that has come meanwhile
                woken.add(message["data"].decode(errors="replace"))
                message = wakes.get_message()
            if woken or left_s <= 0:
                break
        return woken & set(self._providers)

    def _begin(self, gate: Gate) -> Epoch:
        timings = get_settings().timings
        # A call is sent at most end-by minus call after its start, and reaches the vendor within the connect timeout.
        late_ms = int((timings.end_by - timings.call + timings.connect) * 1000)
        epoch = Epoch(
            gate,
            histories=lambda: key_histories(gate.pool, used=gate.pool in self._used_pools),
            late_ms=late_ms,
            ended_since=lambda since_ms: ended_since(gate.pool, since_ms),
        )
        if epoch.begin():
            log.info("gate began a new epoch", pool=gate.pool, why="Redis was new, emptied or restarted")
            sweep_now.set()
        # Before the first admit. If the database is unavailable, the next connection tries again.
        with suppress(StoreError):
            withdraw_cancelled(gate)
        return epoch

    def _serve(self, epoch: Epoch, producer: Publishes) -> float:
        """Publishes what one gate admits; returns the seconds until its next admit is due."""
        timings = get_settings().timings
        admission = epoch.gate.admit(
            room=self._most_granted,
            most_granted=self._most_granted,
            keys=keys(epoch.gate.pool),
            epoch=epoch.name,
            clock_us=epoch.clock_us(),
            ahead_ms=_AHEAD_MS,
            busy_from=self._most_granted // 4,
            start_by_ms=int(timings.start_by * 1000),
            held_again_ms=int(timings.held_again * 1000),
            most_held_bytes=self._most_unstored,
        )
        if admission.state == "epoch":
            epoch.begin()
            sweep_now.set()
            self._alive_until = 0.0  # the heartbeat was deleted too
            log.warning("gate was emptied", pool=epoch.gate.pool, next_step="every window counts as full, then goes on")
        elif admission.state == "clock" and epoch.clock_has_stepped():
            log.warning(
                "Redis's clock has stepped", pool=epoch.gate.pool, next_step="every window counts as full, then goes on"
            )
        if admission.newer:
            self._newer[epoch.gate.pool].holds(
                f"A newer release of marketfetch has made requests of {epoch.gate.pool} ({admission.newer} now). The worker on "
                f"{socket.gethostname()} leaves them to its workers: upgrade it.",
                redis=epoch.gate.redis,
            )
        if admission.grants:
            self._used_pools.add(epoch.gate.pool)
            self._granted.extend((epoch.gate.pool, one) for one in admission.grants if one.kind == "go")
            self._reserve(epoch.gate, admission.grants)
            with producer.together():
                self._publish_all(epoch.gate, admission.grants, producer)
        if admission.state == "stale":
            log.warning(
                "this machine's clock is days off Redis's", pool=epoch.gate.pool, next_step="set it; looks again in 1 s"
            )
            return _LONGEST_SLEEP_S
        if admission.state != "ok":
            return _ADMIT_AGAIN_S
        if admission.wait_ms is None:
            return _LONGEST_SLEEP_S
        return min(_LONGEST_SLEEP_S, max(admission.wait_ms / 1000, 0.001))

    def _reserve(self, gate: Gate, grants: Sequence[Grant]) -> None:
        """Reserves the calls of these grants. On StoreError the grants have returned to their place, and cost nothing."""
        try:
            self._reservations.cover(gate.pool, keys(gate.pool), grants)
        except StoreError:
            gate.return_grants([one for one in grants if one.kind == "go"])
            raise

    def _publish_all(self, gate: Gate, grants: Sequence[Grant], producer: Publishes) -> None:
        """Calls first, as their start-by is running."""
        for grant in sorted(grants, key=lambda one: one.kind == "dropped"):
            try:
                self._publish(gate, grant, producer)
            except (RedisError, OperationalError, OSError, BrokerAway):
                raise
            except Exception as error:
                self._raised(gate, grant, error)

    def _publish(self, gate: Gate, grant: Grant, producer: Publishes) -> None:
        """Publishes one grant. An unbuildable message fails its request with a reason, so that it can't block the lane."""
        try:
            message = self._message(gate, grant)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            self._unreadable(gate, grant, error)
            return
        if grant.kind == "dropped" or (grant.kind == "answered" and message.expired(datetime.now(UTC))):
            log.info("task expired or revoked in the lane", pool=gate.pool, task_id=message.headers["id"])
            mark_revoked(self._app, loads(grant.message), reason="expired or revoked in the lane")
            gate.settle(grant.id)
            return
        message.headers["expires"] = None  # the worker must not revoke a released task: its permit is spent
        producer.publish(message, queue=f"fetch.{gate.pool}")
        log.debug("admitted", pool=gate.pool, request=grant.id, key=grant.key_label, kind=grant.kind, fence=grant.fence)

    def _message(self, gate: Gate, grant: Grant) -> FetchMessage:
        return FetchMessage.kept(loads(grant.message), grant) if grant.message else job_message(self._app, gate.pool, grant)

    def _unreadable(self, gate: Gate, grant: Grant, error: Exception) -> None:
        """Fails a request whose record no release can read: its grant is returned, and its waiters get the reason."""
        why = f"{type(error).__name__}: {error}"
        reason = f"request {grant.id} of {gate.pool} can't be read ({why}), so it was taken out of the lane"
        log.error("unreadable request", pool=gate.pool, request=grant.id, error=str(error), next_step="taken out of the lane")
        gate.settle(grant.id, outcome=json.dumps({"outcome": "failed", "rows": 0, "rejects": 0, "reason": reason}))

    def _raised(self, gate: Gate, grant: Grant, error: Exception) -> None:
        """Returns a grant that raised while it was published; after the fifth time its request fails. Raises RedisError."""
        log.exception("grant was not published", pool=gate.pool, request=grant.id)
        reason = f"marketfetch made a mistake ({deliveries.why(error)}), see the worker's log"
        deliveries.end(gate, grant.id, fence=grant.fence, reason=reason)


def _most_unstored(redis: Redis) -> int:
    most = int(redis.info("memory").get("maxmemory", 0))
    return min(_MOST_UNSTORED, most // 4) if most else _MOST_UNSTORED
