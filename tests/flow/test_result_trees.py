"""The results of chains, groups and chords as Celery's own API walks them: every walk ends, with what stock Celery gives."""

from __future__ import annotations

import json

import pytest

CODE = """
import json
from celery import chain, chord, chunks, group
from celery.result import AsyncResult, GroupResult
from tasks import app
from tasks.fetch import polygon
from tasks.store import store_batch
from tests.waiting import eventually

DAYS = dict(start='2024-01-02', end='2024-01-31')

def fetch(symbol, **more):
    return polygon.s(symbol, **DAYS, **more)

def tree(result):
    "What collect() gives: per node its outcome's symbol and outcome, and how many children it has."
    return [[value['symbol'], value['outcome'], len(node.children or [])] for node, value in result.collect(timeout=300)]

def text(ask):
    try:
        return ask()
    except Exception as error:
        return type(error).__name__ + ': ' + str(error)

{}
print(json.dumps(answer))
"""


def answer(place, code: str):
    done = place.run("-c", CODE.replace("{}", code), timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def working(place, sandbox):
    place.worker(concurrency=2)
    return place


def test_every_walk_over_a_tree_of_results_ends(working):
    found = answer(
        working,
        """
alone = fetch('AAPL').delay()
alone.get(timeout=300)
stored = chain(fetch('MSFT'), store_batch.s()).apply_async()
stored.get(timeout=300)
root = stored.parent
both = group(chain(fetch('TSLA'), store_batch.s()), fetch('NVDA')).apply_async()
joined = both.join(timeout=300)
both.save()
saved = GroupResult.restore(both.id, app=app).join_native(timeout=300)
body = chord([fetch('IBM'), fetch('KO')])(store_batch.si({**joined[0], 'request': 'x'}))
body.get(timeout=300)
answer = {
    'alone': [tree(alone), alone.children, alone.graph and len(alone.graph)],
    'chain': [tree(stored), tree(root), [one.id for one in root.children] == [stored.id]],
    'group': [[one['symbol'] for one in joined], [one['symbol'] for one in saved], both.completed_count()],
    'chord': [sorted(one['symbol'] for one in body.parent.get(timeout=300)), [tree(one) for one in body.parent.results]],
}
""",
    )
    assert found["alone"] == [[["AAPL", "stored", 0]], [], 1]
    assert found["chain"] == [[["MSFT", "stored", 0]], [["MSFT", "stored", 1], ["MSFT", "stored", 0]], True]
    assert found["group"] == [["TSLA", "NVDA"], ["TSLA", "NVDA"], 2]
    assert found["chord"][0] == ["IBM", "KO"]


def test_a_failed_link_ends_every_walk_with_its_reason(working):
    found = answer(
        working,
        """
stored = chain(fetch('ZZZZB'), store_batch.s()).apply_async()
waits = chain(fetch('ZZZZB'), store_batch.s()).apply_async()
both = group(fetch('AAPL'), fetch('ZZZZB')).apply_async()
body = chord([fetch('AAPL'), fetch('ZZZZB')])(store_batch.si({}))
many = polygon.s(**DAYS)
many = chunks(many, [('AAPL',), ('TSLA',)], 1, app=app).apply_async()
later = chain(fetch('KO').set(countdown=3600), store_batch.s()).apply_async()
app.control.revoke(later.parent.id)
answer = {
    'chain': [text(lambda: one.get(timeout=300)) for one in (stored, waits)],
    'kept': [type(one.get(timeout=300, propagate=False)).__name__ for one in (stored, waits, stored.parent)],
    'walk': [text(lambda: tree(stored.parent)), str(stored.parent.children)],
    'group': [type(one).__name__ for one in both.join(timeout=300, propagate=False)],
    'chord': text(lambda: body.get(timeout=300)),
    'chunks': [text(lambda: one.get(timeout=300)) for one in many.results],
    'revoked': text(lambda: later.get(timeout=300)),
}
""",
    )
    assert all(one.startswith("UnknownSymbol: ") for one in found["chain"]), found
    assert found["kept"] == ["UnknownSymbol"] * 3
    assert found["walk"] == [found["chain"][0], "[]"]
    assert found["group"] == ["dict", "UnknownSymbol"]
    assert "does not know ZZZZB" in found["chord"]
    assert all("tasks.fetch.polygon runs in workers only" in one for one in found["chunks"])
    assert found["revoked"] == "TaskRevokedError: revoked"
