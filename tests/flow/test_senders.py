"""An app that sends while Redis is away: an error within seconds, and once Redis is back all goes on in the same process."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.flow.test_refused_writes import full, too_few_replicas
from tests.flow.test_releaser import wait_until
from tests.preloaded import preloaded
from tests.waiting import PATIENCE

#: Sends what each line asks for, and answers with a line: what came of it, and after how many seconds.
APP = """
import json
import sys
import time
import warnings
warnings.simplefilter('ignore')
from kombu.exceptions import OperationalError
from tasks import app
from tasks.fetch import polygon
query = dict(dataset='bars', adjustment='split', start='2024-01-02', end='2024-01-31')
sent = {}
for line in sys.stdin:
    wish = json.loads(line)
    began = time.monotonic()
    try:
        if 'send' in wish:
            sent[wish['send']] = polygon.apply_async((wish['send'],), query, **wish.get('options', {}))
            answer = 'sent'
        elif 'own' in wish:
            sent['own'] = app.send_task('celery.accumulate', (1, 2))
            answer = 'sent'
        else:
            found = sent[wish['get']].get(timeout=300)
            answer = found['outcome'] if isinstance(found, dict) else found
    except OperationalError as error:
        answer = 'OperationalError: ' + str(error)
    except Exception as error:
        answer = type(error).__name__
    print(json.dumps([answer, time.monotonic() - began]), flush=True)
"""


class App:
    """Somebody's web app."""

    def __init__(self, place) -> None:
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        with (place.folder / "app.log").open("w") as log:
            self._process = preloaded().start(
                "-c", APP,
                cwd=place.folder, env=place.env, stdin=theirs_in, stdout=theirs_out, stderr=log.fileno(),
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._asks, self._answers = os.fdopen(ours_in, "w"), os.fdopen(ours_out)
        place.stack.callback(self._end)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._asks.close()
        self._answers.close()

    def begin(self, **wish) -> None:
        self._asks.write(json.dumps(wish) + "\n")
        self._asks.flush()

    def answer(self) -> tuple[str, float]:
        said, seconds = json.loads(self._answers.readline())
        return said, seconds

    def asked(self, **wish) -> tuple[str, float]:
        self.begin(**wish)
        return self.answer()


@pytest.fixture
def client(place):
    return App(place)


@pytest.mark.parametrize("options", [{}, {"ignore_result": True}], ids=["with result", "without result"])
@pytest.mark.parametrize("before", [False, True], ids=["never connected", "connected"])
def test_who_sends_while_redis_is_away_is_told_within_seconds(place, client, options, before):
    if before:
        assert client.asked(send="MSFT", options=options)[0] == "sent"
    place.valkey.stop()
    for _ in range(2):
        said, seconds = client.asked(send="AAPL", options=options)
        assert said.startswith("OperationalError")
        assert seconds < 4 * PATIENCE
    place.restart_valkey()
    assert client.asked(send="AAPL", options=options)[0] == "sent"


def test_after_an_outage_results_come_in_the_same_process_of_before_and_after(place, client):
    assert client.asked(send="AAPL")[0] == "sent"
    place.valkey.stop()
    assert client.asked(send="MSFT")[0].startswith("OperationalError")
    place.restart_valkey()
    assert client.asked(send="TSLA")[0] == "sent"
    place.worker()
    assert client.asked(get="TSLA")[0] == "stored"
    assert client.asked(get="AAPL")[0] == "stored"


def test_who_waits_for_a_result_goes_on_waiting_through_an_outage(place, client):
    assert client.asked(send="AAPL")[0] == "sent"
    client.begin(get="AAPL")
    place.valkey.stop()
    wait_until(time.monotonic() + 6)  # longer than a sender's patience
    place.restart_valkey()
    place.worker()
    assert client.answer()[0] == "stored"


@pytest.mark.parametrize("kind", [full, too_few_replicas])
def test_who_sends_to_a_redis_that_refuses_to_write_is_told_so(place, client, kind):
    with kind(place):
        for wish in ({"send": "AAPL"}, {"send": "AAPL", "options": {"ignore_result": True}}, {"own": ""}):
            said, seconds = client.asked(**wish)
            assert said.startswith("OperationalError")
            assert "own" in wish or "refuses to write" in said
            assert seconds < 4 * PATIENCE
    assert client.asked(send="AAPL")[0] == "sent"
