"""An app that has Celery and nothing of marketfetch: jobs by name, with a progress bar in the terminal.

    pip install 'celery[redis]'
    MARKETFETCH_REDIS_URL=redis://... python shop.py AAPL MSFT      # the Redis of the workers of marketfetch

Exits with 1 and a sentence: Redis is away, or marketfetch refuses the wish. A worker of your own (`celery -A shop worker`) runs
`report` when the job is over; nothing here waits for it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

REDIS = os.environ["MARKETFETCH_REDIS_URL"]

app = Celery("shop", broker=REDIS, backend=REDIS)
app.conf.task_default_queue = "shop"
app.conf.task_routes = {"marketfetch.*": {"queue": "celery"}}
#: While Redis is away an error now is better than a wait without end.
QUICKLY = {"max_retries": 1, "interval_start": 0.2}


@app.task
def report(over: dict[str, Any]) -> str:
    return f"{over['job']} is {over['outcome']}"


def ask(task: str, *arguments: Any, **named: Any) -> Any:
    """Runs a task of marketfetch in one of its workers. Raises what the worker raised, such as a refusal with its sentence."""
    return app.send_task(task, arguments, named, retry_policy=QUICKLY).get(timeout=60)


def main(symbols: list[str]) -> None:
    with app.connection_for_write() as connection:
        connection.ensure_connection(**QUICKLY)
    wish = {"provider": "polygon", "symbols": symbols, "start": "2024-01-02", "end": "2024-01-31"}
    job = ask("marketfetch.submit", **wish, on_over=report.s().set(queue="shop"))
    while True:
        status = ask("marketfetch.status", job)
        total = status["requests"]["total"]
        over = status["requests"]["stored"] + status["requests"]["failed"]
        done = 30 * over // total if total else 30
        print(f"\r[{'#' * done:<30}] {over} of {total} requests, {status['rows']} rows", end="", flush=True)
        if status["state"] != "running":
            print(f": {status['state']}")
            return
        time.sleep(0.5)


if __name__ == "__main__":
    try:
        main(sys.argv[1:] or ["AAPL", "MSFT"])
    except (OperationalError, ConnectionError, RuntimeError) as error:  # the last: Celery's, of its result backend
        sys.exit(f"Redis is away ({error}): start it, then try again.")
    except Exception as error:  # what a worker of marketfetch raised: its class may not be importable here
        sys.exit(f"refused: {error}")
