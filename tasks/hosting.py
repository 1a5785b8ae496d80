"""`install(app)`: our tasks in a worker of a user's own app. Refused, since the worker as a whole keeps the promises."""

from __future__ import annotations

from typing import Any, NoReturn

from marketfetch.exceptions import BadRequestError


def install(app: Any) -> NoReturn:
    """Raises BadRequestError with what to run instead; docs/celery.md has the reason, promise by promise."""
    name = getattr(app, "main", None) or "yours"
    raise BadRequestError(
        f"marketfetch's tasks can't run in a worker of the app {name!r}: what keeps limits and loses no request is our worker "
        f"(releaser, prefetch, acknowledgements, pools, redacted logs), and not the tasks. Run `celery -A marketfetch worker` "
        f"beside yours, or both with `marketfetch up --app {name}`, and call ours by name: docs/celery.md."
    )
