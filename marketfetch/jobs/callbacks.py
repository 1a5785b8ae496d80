"""A callback for the end of a job, as the database keeps it: a Celery signature, of which the core reads the shape alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AliasPath, BaseModel, Field, ValidationError

from marketfetch.exceptions import BadRequestError
from marketfetch.storage.store import JobWaiter
from marketfetch.validation_words import in_words

#: The names of waiters that are callbacks begin so.
CALLBACK: Final = "callback:"
_LONGEST: Final = 64_000


class _Signature(BaseModel):
    """What Celery reads of a signature that comes as JSON."""

    task: str = Field(min_length=1, max_length=1000)
    args: list[Any] | tuple[Any, ...] = ()
    named: dict[str, Any] = Field(default={}, validation_alias=AliasPath("kwargs"))
    options: dict[str, Any] = {}


def callback(job_id: str, on_over: Mapping[str, object]) -> JobWaiter:
    """The waiter of a job that is this callback; the same signature is one waiter. Raises BadRequestError."""
    try:
        _Signature.model_validate(on_over)
        text = json.dumps(on_over, allow_nan=False)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadRequestError(
            f"on_over is no signature of a Celery task ({where or 'it'}: {in_words(error.errors()[0])}): write "
            f"mine.s(...).set(queue=...), or {{'task': 'mine', 'options': {{'queue': ...}}}}."
        ) from None
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"on_over must be JSON, arguments and options too: {error}.") from None
    if len(text) > _LONGEST:
        raise BadRequestError(f"on_over is longer than {_LONGEST:,} characters ({len(text):,}): pass a reference to the data.")
    return JobWaiter(job_id, CALLBACK + hashlib.sha256(text.encode()).hexdigest()[:16], text)
