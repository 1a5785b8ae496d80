"""The page that Prometheus reads: every metric of the whole installation, from any process.

Redis has the numbers of all processes, so every server and every worker shows the same page: scrape one, or more of them, and
take `max without (instance, job)` in a query.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from marketfetch import connections, redis_errors
from marketfetch.exceptions import MarketfetchError
from marketfetch.extras import need
from marketfetch.lazy_logger import logger
from marketfetch.ops import counters, state_gauges
from marketfetch.ops.measures import CALL_BUCKETS_S, MEASURES, PREFIX, Measure
from marketfetch.ops.state_gauges import Sample
from marketfetch.storage.store_errors import StoreError

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logger("marketfetch.metrics")

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: A look serves every scrape within this time.
KEPT_S: Final = 5.0


class MetricsPage:
    """The page of this process."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._text, self._until = b"", 0.0

    def text(self) -> bytes:
        """The page in Prometheus's text format, at most KEPT_S old. It says itself what is away, and never raises for that.

        Raises MissingExtra.
        """
        need("prometheus_client", for_what="The metrics page")
        from prometheus_client import CollectorRegistry, generate_latest

        with self._one_at_a_time:
            if time.monotonic() >= self._until:
                registry = CollectorRegistry(auto_describe=False)
                registry.register(_Look())
                self._text = generate_latest(registry)
                self._until = time.monotonic() + KEPT_S
            return self._text


class _Look:
    """One look at everything, as prometheus_client's collectors are."""

    def collect(self) -> Iterator[Metric]:
        samples: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for part, read in (("redis", _of_redis), ("database", state_gauges.of_database)):
            found = _read(part, read)
            for name, labels, value in found or ():
                samples[name].append((labels, value))
            samples["up"].append(((part,), found is not None))
        return (_family(one, samples.get(one.name, ())) for one in MEASURES)

    describe = None


def _of_redis() -> Iterator[Sample]:
    yield from state_gauges.of_redis()
    yield from counters.totals(connections.redis())


def _read(part: str, read: Callable[[], Iterable[Sample]]) -> list[Sample] | None:
    """None where that part is away."""
    try:
        return list(read())
    except (redis_errors.RedisError, StoreError, MarketfetchError, OSError) as error:
        log.info("metrics lack a part", part=part, error=str(error), next_step="the next scrape looks again")
        return None


def _family(one: Measure, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    if one.kind == "histogram":
        return _histogram(one, samples)
    kind = GaugeMetricFamily if one.kind == "gauge" else CounterMetricFamily
    family: Any = kind(f"{PREFIX}{one.name}", one.says, labels=one.labels)
    for labels, value in samples:
        if len(labels) == len(one.labels):
            family.add_metric(labels, value)
    found: Metric = family
    return found


def _histogram(one: Measure, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """From the number of calls in each bucket, which Redis has, to the sums that Prometheus reads."""
    from prometheus_client.core import HistogramMetricFamily

    by_labels: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (*labels, bucket), value in samples:
        by_labels[tuple(labels)][bucket] = value
    family = HistogramMetricFamily(f"{PREFIX}{one.name}", one.says, labels=one.labels)
    for own, found in by_labels.items():
        family.add_metric(own, list(_cumulated(found)), found.get(counters.SUM, 0) / 1e6)
    return family


def _cumulated(found: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    so_far = 0.0
    for number, bound in enumerate([*map(str, CALL_BUCKETS_S), "+Inf"]):
        so_far += found.get(str(number), 0)
        yield bound, so_far
