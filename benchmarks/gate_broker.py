"""The broker's load: messages counted by Valkey's MONITOR, and the queue's length, sampled."""

from __future__ import annotations

import threading
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

_BETWEEN_S = 0.005


class Broker:
    """While open, counts what is pushed to queues with these names and keeps the longest they ever were together."""

    def __init__(self, redis_url: str, *queues: str) -> None:
        self._url = redis_url
        self._queues = queues
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._count, self._sample)]
        self._started = threading.Event()
        self.pushed = 0
        self.longest = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self._started.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with Redis.from_url(self._url) as redis:
            redis.ping()  # one more command, so that the monitor's loop checks for the end
        for thread in self._threads:
            thread.join(5)

    def _count(self) -> None:
        # kombu pushes to the queue's name, with a suffix for priorities other than 0.
        pushes = tuple(f"PUSH {queue}" for queue in self._queues)
        try:
            with Redis.from_url(self._url) as redis, redis.monitor() as monitor:
                self._started.set()
                for command in monitor.listen():
                    if self._ending.is_set():
                        return
                    if command["client_type"] != "lua" and any(push in command["command"] for push in pushes):
                        self.pushed += 1
        except RedisError:
            return

    def _sample(self) -> None:
        with Redis.from_url(self._url) as redis:
            while not self._ending.wait(_BETWEEN_S):
                with redis.pipeline(transaction=False) as pipe:
                    for queue in self._queues:
                        pipe.llen(queue)
                    self.longest = max(self.longest, sum(pipe.execute()))
