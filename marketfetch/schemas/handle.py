"""Handle: whose wish a job is, and how its owner finds it. Equal wishes of two handles are two jobs that share requests."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from marketfetch.schemas.job_spec import JobSpec

_LONGEST: Final = 100
_MOST_TAGS: Final = 20


def _one_line(text: str) -> str:
    """A text that may be printed on any terminal, without blanks around it. Raises ValueError."""
    text = text.strip()
    if not text.isprintable():
        raise ValueError("only printable characters, on one line")
    if len(text) > _LONGEST:
        raise ValueError(f"{_LONGEST} characters at most, not {len(text):,}")
    return text


Words = Annotated[str, AfterValidator(_one_line)]


class Handle(BaseModel):
    """`owner`, `name` and `tags` of a job, each "" or empty where the user gave none. Tags have no order."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    owner: Words = ""
    name: Words = ""
    tags: tuple[Words, ...] = ()

    @field_validator("tags")
    @classmethod
    def _as_a_set(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if not all(tags):
            raise ValueError("a tag is no empty text")
        if len(set(tags)) > _MOST_TAGS:
            raise ValueError(f"{_MOST_TAGS} tags at most, not {len(set(tags))}")
        return tuple(sorted(set(tags)))

    def job_id(self, spec: JobSpec) -> str:
        """16 hex digits: those of the wish alone without owner, name and tags, else of the wish and all three."""
        if self == Handle():
            return spec.id
        text = json.dumps([spec.model_dump_json(), self.owner, self.name, self.tags])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
