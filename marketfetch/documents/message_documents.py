"""The documents of dead messages, which no worker could read or run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.dead_letters import DeadLetter


class DeadMessage(TypedDict):
    """A dead message: when and from which queue it came, why it is here, its size in bytes, and whether all of it was kept."""

    id: str
    when: str
    queue: str
    reason: str
    task: str | None
    task_id: str | None
    size: int
    whole: bool


class DeadMessages(TypedDict):
    """The dead messages, oldest first."""

    messages: list[DeadMessage]


class DeadMessageText(DeadMessage):
    """One of them with its text, without secrets."""

    message: str


def dead_message(one: DeadLetter) -> DeadMessage:
    return {
        "id": one.id,
        "when": one.when.isoformat(),
        "queue": one.queue,
        "reason": one.reason,
        "task": one.task or None,
        "task_id": one.task_id or None,
        "size": one.size,
        "whole": one.whole,
    }


def dead_messages(found: Sequence[DeadLetter]) -> DeadMessages:
    return {"messages": [dead_message(one) for one in found]}


def dead_message_text(one: DeadLetter) -> DeadMessageText:
    return {**dead_message(one), "message": one.text()}
