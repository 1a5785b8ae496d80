"""The Celery app: its settings from celeryconfig, its sender parks, its workers carry a releaser."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.signals import import_modules, task_prerun, worker_init, worker_process_init, worker_process_shutdown

from marketfetch import settings_in_force
from marketfetch.ops import counters, traces
from marketfetch.quotas import failpoints
from marketfetch.settings import failpoint, get_settings

#: Parts are named by text, so a process loads only what it needs: `tasks` in a checkout, `marketfetch.tasks` where installed.
_HERE = __package__

#: Never the current app of a process: an app that imports this one keeps its own, and its `shared_task`s go where they did.
app = Celery(
    "marketfetch",
    set_as_current=False,
    amqp=f"{_HERE}.sending.parking:ParkingAMQP",
    log=f"{_HERE}.worker.log_setup:RedactedLogging",
    control=f"{_HERE}.sending.revoke:ParkingControl",
)
_results = f"{_HERE}.sending.result_backend:Hardened"
app.loader.override_backends = {
    **dict.fromkeys(("redis", "rediss"), f"{_results}Backend"),
    "sentinel": f"{_results}SentinelBackend",
}
app.config_from_object(f"{_HERE}.celeryconfig")
app.steps["worker"].update(
    f"{_HERE}.{step}"
    for step in (
        *("worker.eager_setting:NoEagerWorker", "worker.supported_pools:SupportedPools", "worker.loaded_readers:LoadedReaders"),
        *("worker.releaser:Releaser", "worker.sweeper:Sweeper", "worker.parked_events:ParkedEvents"),
        *("worker.metrics_port:MetricsPort", "hardening.stop_in_mid_write:StopsBetweenCallbacks"),
        "worker.notifier:Notifier",
    )
)


@worker_init.connect
def _patience(sender: Any = None, **_: Any) -> None:
    """A worker retries writing a result for as long as Celery does by default: the result has cost a call."""
    if getattr(sender, "app", app) is not app:
        return  # a user's own worker, which has imported this module
    ours = {**app.conf.result_backend_transport_options, "retry_policy": {"max_retries": 20}}
    app.conf.result_backend_transport_options = ours


@worker_process_init.connect
def _more_patience(**_: Any) -> None:
    """A blocked child does not hold up its siblings, so it may retry longer."""
    ours = {**app.conf.result_backend_transport_options, "retry_policy": {"max_retries": 60}}
    app.conf.result_backend_transport_options = ours


@worker_process_shutdown.connect
def _last_counters(**_: Any) -> None:
    """A child that is replaced after its task has not written what that task has counted."""
    counters.write_within(1.0)
    traces.flush(1.0)


@task_prerun.connect
def _settings_of_now(sender: Any = None, **_: Any) -> None:
    """Each task runs with the settings that the database has by then: a look at Redis, once a second at most."""
    if getattr(sender, "app", None) is app:
        settings_in_force.refresh()


@import_modules.connect
def import_included(sender: Any = None, **_: Any) -> None:
    """Celery sends this signal to a worker and to beat, before the app gets its tasks. Raises UnimportableModule."""
    if getattr(sender, "loader", None) is app.loader:
        from .included_modules import load

        for name in get_settings().include:
            load(name)


if failpoint():
    failpoints.arm(failpoint())


@import_modules.connect
def _failpoints(**_: Any) -> None:
    """Installed only when a failpoint is armed, in tests that kill a worker at one of these points."""
    if failpoints.armed:
        from marketfetch.vendors import transport

        from . import announcing, storing
        from .worker import releaser

        transport.send = failpoints.around("send", transport.send)
        storing.written = failpoints.around("store", storing.written)
        announcing.notify = failpoints.around("notify", announcing.notify)
        loop = releaser.ReleasingLoop
        loop._publish = failpoints.around("publish", loop._publish)  # type: ignore[method-assign]  # noqa: SLF001
