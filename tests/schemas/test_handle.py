"""A handle names a job: the same wish, owner, name and tags are one job, and without the last three it is the wish alone."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from marketfetch.schemas.handle import Handle
from marketfetch.schemas.job_spec import JobSpec

WISH = JobSpec(
    provider="polygon", symbols=("AAPL", "MSFT"), start=date(2024, 1, 2), end=date(2024, 1, 5), as_of="2024-02-01T10:15Z"
)


def test_without_owner_name_and_tags_the_id_is_that_of_the_release_before() -> None:
    assert Handle().job_id(WISH) == WISH.id == "7c616650bda43a0a"


def test_each_part_makes_another_job_and_the_order_of_tags_does_not() -> None:
    handles = [
        Handle(),
        Handle(owner="ana"),
        Handle(name="ana"),
        Handle(tags=("ana",)),
        Handle(owner="ana", tags=("eod", "us")),
        Handle(owner="ana", tags=("eodus",)),
        Handle(owner="ana", name="eod", tags=("us",)),
    ]
    ids = [one.job_id(WISH) for one in handles]
    assert len(set(ids)) == len(handles)
    assert all(len(one) == 16 for one in ids)
    assert Handle(owner=" ana", tags=("us", "eod", "us ")).job_id(WISH) == ids[4]


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "a\0b", "a\u202eb", "\ud800", "x" * 101])
def test_what_no_terminal_should_print_or_no_line_holds_is_refused(text: str) -> None:
    for given in ({"owner": text}, {"name": text}, {"tags": [text]}):
        with pytest.raises(ValidationError):
            Handle.model_validate(given)


def test_an_empty_tag_and_too_many_are_refused() -> None:
    for tags in ([" "], [f"tag{n}" for n in range(21)]):
        with pytest.raises(ValidationError):
            Handle.model_validate({"tags": tags})
