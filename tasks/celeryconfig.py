"""Every Celery setting, data only, each with its reason; docs/operations.md has the same as a table.

What users may change stands in marketfetch.toml.
"""

from __future__ import annotations

from kombu import Queue

from marketfetch import vendors as _vendors
from marketfetch.addresses import redis_url

#: This package's name: `tasks` in a checkout, `marketfetch.tasks` where it is installed.
_HERE = __package__

# One Redis holds the broker, the results and the gate, so that they are lost together or not at all.
broker_url = redis_url()
result_backend = redis_url()

# JSON only: a pickle from the broker would run code of whoever can write to it.
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
enable_utc = True

# A worker's death must give the message back, also when only its child was killed (acks_late alone lost 5 of 200).
task_acks_late = True
task_reject_on_worker_lost = True
# One message a slot: what a slot has prefetched no other slot can take.
worker_prefetch_multiplier = 1

# Longer than any task here runs. It stands in three places, as kombu reads each of them for another part.
_visibility = {
    "visibility_timeout": 900,
    # Put messages of dead consumers back soon after the timeout, by whoever comes first.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # A half-dead connection is noticed within half a minute instead of hours.
    "socket_keepalive": True,
    "socket_connect_timeout": 5,
    "health_check_interval": 25,
}
broker_transport_options = {**_visibility}
# Who sends waits for the results' Redis as long as for the broker's; a worker is more patient (tasks/app.py).
_retry_policy = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.4, "interval_max": 1.0}
result_backend_transport_options = {**_visibility, "retry_policy": _retry_policy}
visibility_timeout = 900
redis_socket_connect_timeout = 5
redis_socket_keepalive = True
redis_backend_health_check_interval = 25

# A worker that starts before Redis, or outlives it, waits for it, for ever: nothing is lost by waiting.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A lost connection must not cancel running calls: the lease owns a call, not the connection.
worker_cancel_long_running_tasks_on_connection_loss = False

# Instead of Celery's own, which would end the worker when a child dies, or a call runs, just as the connection is lost.
worker_pool = f"{_HERE}.hardening.surviving:SurvivingPool"
# The same, and a message that can't be read, or can't be run, is set aside with its reason; Celery's would end, or drop it.
worker_consumer = f"{_HERE}.hardening.unreadable_messages:CarefulConsumer"

# On SIGTERM (remapped to SIGQUIT in the environment) running calls get this long to end. docker stop kills after 10 s, and
# Celery needs two to three of them for its own end: with 8 s here a busy worker was gone after 10.1 to 10.2 s.
worker_soft_shutdown_timeout = 6.0

# A sender waits a few seconds for Redis and then says so; it doesn't hang a web request.
task_publish_retry = True
task_publish_retry_policy = _retry_policy

# A chord that waited past it never ran its body; 30 days is longer than any quota makes it wait.
result_chord_expires = 30 * 86_400
result_expires = 86_400
task_track_started = True

# Events cost more than half the throughput, so they are sent only by workers started with -E (`up --flower` does).
worker_send_task_events = False
task_send_sent_event = False

# Hard stop for a call that hangs in spite of its timeouts; settings.timings.call (20 s) ends it long before.
task_time_limit = 120

# Our own logging (structlog, with redaction) replaces Celery's.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

task_default_queue = "celery"
# Each installed vendor has a queue of its own: a slow one does not hold up the others' workers.
task_queues = [Queue("celery"), Queue("store"), *(Queue(f"fetch.{name}") for name in _vendors.names())]
task_routes = {
    **{f"tasks.fetch.{name}": {"queue": f"fetch.{name}"} for name in _vendors.names()},
    "tasks.store.store_batch": {"queue": "store"},
}
imports = (f"{_HERE}.fetch", f"{_HERE}.store", f"{_HERE}.sending.revoke")

# Beat keeps its own state beside ours, so that a folder holds one file less.
beat_schedule_filename = "celerybeat-schedule"
