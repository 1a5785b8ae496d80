"""Our tasks in a process with an app of a user's: Celery shares tasks among apps, and only our own worker fetches."""

from __future__ import annotations

import pytest
from celery import Celery
from celery.exceptions import Ignore

import tasks
from marketfetch.exceptions import BadRequestError
from tasks.fetch import polygon
from tasks.store import store_batch


@pytest.fixture
def theirs() -> Celery:
    return Celery("theirs", set_as_current=False)


def test_a_grant_that_comes_to_a_worker_of_another_app_is_not_sent(theirs):
    copy = theirs.tasks[polygon.name]
    assert copy.app is theirs
    copy.push_request(id="1", marketfetch={"id": "r", "fence": 1})
    with pytest.raises(Ignore):
        copy.run("AAPL", start="2024-01-02", end="2024-01-05")
    copy.pop_request()


def test_another_app_has_no_copy_of_the_store_task(theirs):
    """Settings of its process may name another database."""
    assert store_batch.name not in theirs.tasks


def test_our_tasks_are_not_installed_into_another_app_and_the_sentence_says_what_to_run(theirs):
    with pytest.raises(BadRequestError) as refused:
        tasks.install(theirs)
    assert "can't run in a worker of the app 'theirs'" in str(refused.value)
    assert "`marketfetch up --app theirs`" in str(refused.value)
