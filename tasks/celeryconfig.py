"""The settings of Celery, as data, each with its reason; docs/operations.md has them as a table.

Users change marketfetch.toml, not this file.
"""

from __future__ import annotations

from kombu import Queue

from marketfetch import vendors as _vendors
from marketfetch.addresses import broker as _configured_broker
from marketfetch.addresses import redis_prefix as _redis_prefix
from marketfetch.addresses import redis_url as _redis_url
from marketfetch.settings import get_settings as _get_settings

from .celery_broker import celery_broker as _celery_broker
from .celery_redis import celery_redis as _celery_redis

#: This package's name: `tasks` in a checkout, `marketfetch.tasks` after an install.
_HERE = __package__

# One Redis has the broker, the results and the gate, so that they fail together or not at all; unless broker_url names another
# broker: no state of a request depends on what that one does.
_redis = _celery_redis(_redis_url(), prefix=_redis_prefix())
_broker = _configured_broker()
_messages = _celery_broker(_broker, prefix=_redis_prefix(), options=_get_settings().broker_options)
broker_url = _messages.url
result_backend = _redis.url
# With rediss:// the certificate is verified unless the URL says otherwise: kombu's own default is not to.
broker_use_ssl = _messages.tls
redis_backend_use_ssl = _redis.tls

# Only JSON: a pickle from the broker would run the code of anyone who can write to Redis.
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"
accept_content = ["json"]

timezone = "UTC"
enable_utc = True

# A killed worker must return its message, also if only a child was killed (acks_late alone lost 5 of 200).
task_acks_late = True
task_reject_on_worker_lost = True
# One message per slot: no other slot can run a message that a slot has prefetched.
worker_prefetch_multiplier = 1

# How long after its death a worker's messages come back: a living one renews what it holds. kombu and Celery read the timeout
# from three settings, each for another part.
_visibility = {
    "visibility_timeout": 900,
    # Each worker checks this often, and returns the messages of dead workers soon after the timeout.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # Keepalive and health checks detect a half-open connection within half a minute instead of hours.
    "socket_keepalive": True,
    "socket_connect_timeout": 5,
    "health_check_interval": 25,
}
# A sender waits for the results' Redis as long as for the broker's; a worker waits longer (tasks/app.py).
_retry_policy = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.4, "interval_max": 1.0}
# A broker that is no Redis gets none of Redis's options; these end the attempts of a sender, which kombu would go on with.
broker_transport_options = {**(_visibility if _broker.redis else _retry_policy), **_messages.options}
result_backend_transport_options = {**_visibility, **_redis.options, "retry_policy": _retry_policy}
visibility_timeout = 900
redis_socket_connect_timeout = 5
# Celery hands it to every connection, and one over a Unix socket does not take it.
redis_socket_keepalive = _redis.over_tcp
redis_backend_health_check_interval = 25

# A worker waits for Redis without a limit, at its start and later: waiting loses nothing.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A lost connection must not cancel running calls: the lease owns a call, not the connection.
worker_cancel_long_running_tasks_on_connection_loss = False

# Celery's pool ends the worker if a child dies at its start, or at the moment when the connection is lost.
worker_pool = f"{_HERE}.worker.child_pool:HardenedPool"
# Celery's consumer ends the worker if the connection is lost during a call, if Redis refuses a write, or over a message that
# can't be read or run. This one waits, and moves such a message to the dead-letter list with a reason.
worker_consumer = f"{_HERE}.worker.message_consumer:HardenedConsumer"

# On SIGTERM (remapped to SIGQUIT in the environment) running calls have this long to end. docker stop sends SIGKILL after
# 10 s, and Celery's own shutdown takes two to three of them: with 8 s here a busy worker ended after 10.1 to 10.2 s.
worker_soft_shutdown_timeout = 6.0

# A sender retries for a few seconds and then raises, so that it does not block a web request.
task_publish_retry = True
task_publish_retry_policy = _retry_policy

# A chord that waits longer never runs its body; no quota makes a chord wait 30 days.
result_chord_expires = 30 * 86_400
result_expires = 86_400
task_track_started = True

# Events cost more than half the throughput, so only workers with -E send them (`up --flower` starts its workers with -E).
worker_send_task_events = False
task_send_sent_event = False

# Hard limit for a call that hangs in spite of its timeouts; settings.timings.call (20 s) ends other calls long before.
task_time_limit = 120

# Our own logging (structlog, with redaction) replaces Celery's.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

# KiB. A child that has needed more is replaced after its task, so memory that Python keeps, or a library leaks, has an end.
# Celery looks at the peak. Measured: 60 MB idle, 110 MB after a page of 50,000 rows, 289 MB after the worst body of 64 MB, the
# limit of a reply: so no reply that passes the checks costs a new child.
worker_max_memory_per_child = 400 * 1024

task_default_queue = "celery"
# Each installed vendor has its own queue, so a slow vendor does not delay the others' workers.
task_queues = [Queue("celery"), Queue("store"), *(Queue(f"fetch.{name}") for name in _vendors.names())]
task_routes = {
    **{f"tasks.fetch.{name}": {"queue": f"fetch.{name}"} for name in _vendors.names()},
    "tasks.store.store_batch": {"queue": "store"},
}
imports = (
    *(f"{_HERE}.fetch", f"{_HERE}.store", f"{_HERE}.job_tasks", f"{_HERE}.schedule_tasks"),
    f"{_HERE}.freshness_task",
    *(f"{_HERE}.hardening.revoke_of_parked_tasks", f"{_HERE}.worker.inspect_commands"),
)
# A user's own modules are imported by tasks/included_modules.py, which says in a sentence why one can't be.

# The schedules of the settings are looked at each minute. A message that no worker takes within it expires: the next will do.
beat_schedule = {
    "marketfetch-schedules": {"task": "marketfetch.run_schedules", "schedule": 60.0, "options": {"expires": 55}},
    # Which series are behind, for metrics and notifications: it reads every series, so no scrape does it.
    "marketfetch-freshness": {"task": "marketfetch.look_at_freshness", "schedule": 600.0, "options": {"expires": 550}},
}
# Beat's state file, in the folder where beat runs.
beat_schedule_filename = "celerybeat-schedule"
