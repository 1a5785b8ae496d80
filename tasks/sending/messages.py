"""The fetch message that a grant becomes: built from a request's arguments, or a user's own message, kept whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from marketfetch.quotas import Grant

from .parking import FETCH_PREFIX, GRANT_HEADER, USER_TASK


@dataclass(frozen=True, slots=True)
class FetchMessage:
    """What kombu publishes: Celery's body (args, kwargs, embed), headers with the grant, properties."""

    body: Any
    headers: dict[str, Any]
    properties: dict[str, Any]

    @classmethod
    def kept(cls, message: dict[str, Any], grant: Grant) -> Self:
        """A user's message: same task id, chain and callbacks. Its eta has passed; the releaser judges `expires` itself.

        Its grant names the request planned when it was sent, null where that could not be planned.
        """
        header = _grant_header(grant)
        if grant.kind == "go":
            header["user"] = _planned(grant)
        headers = {**message["headers"], "eta": None, "retries": grant.attempts, GRANT_HEADER: header}
        return cls(body=message["body"], headers=headers, properties={"delivery_mode": 2, **message["properties"]})

    def expired(self, now: datetime) -> bool:
        """True when `expires` has passed. A moment without a zone is UTC, as everywhere in Celery's messages."""
        if not self.headers.get("expires"):
            return False
        expires = datetime.fromisoformat(self.headers["expires"])
        return (expires if expires.tzinfo else expires.replace(tzinfo=UTC)) <= now


def job_task_id(request_id: str, fence: int) -> str:
    """The id of the task that makes a job's request: each grant has its own."""
    return f"{request_id.replace('/', '-')}.{fence}"


def job_message(app: Any, provider: str, grant: Grant) -> FetchMessage:
    """The message of a job's request, with readable arguments. Who fetches it sees to it that its batch is stored."""
    arguments = json.loads(grant.arguments)
    symbol = arguments.pop("symbol")
    task_id = job_task_id(grant.id, grant.fence)
    headers, properties, body, _ = app.amqp.as_task_v2(
        task_id,
        f"{FETCH_PREFIX}{provider}",
        args=(symbol,),
        kwargs=arguments,
        retries=grant.attempts,
        ignore_result=True,
        time_limit=app.conf.task_time_limit,
        # As Celery would write them, which looks for cycles and long values first; here are a few short strings.
        argsrepr=repr((symbol,)),
        kwargsrepr=repr(arguments),
    )
    headers[GRANT_HEADER] = _grant_header(grant)
    properties = {"correlation_id": properties["correlation_id"], "delivery_mode": 2}
    return FetchMessage(body=body, headers=headers, properties=properties)


def _planned(grant: Grant) -> dict[str, Any] | None:
    """The request that a user's task has come to; None for a task with a record of its own, which is planned in the worker.

    Such a record has the words of Celery's argsrepr instead of a request, until a check (see Page) has made it one.
    """
    try:
        planned: dict[str, Any] = json.loads(grant.arguments)
    except ValueError:
        if grant.id.startswith(USER_TASK):
            return None
        raise
    if grant.id.startswith(USER_TASK) and not (isinstance(planned, dict) and planned.get("cursor")):
        return None
    return planned


def _grant_header(grant: Grant) -> dict[str, Any]:
    return {"id": grant.id, "fence": grant.fence, "key": grant.key_label}
