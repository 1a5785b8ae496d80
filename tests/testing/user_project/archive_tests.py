"""A project with an archive of replies: what was fetched is stored again after the database is lost, without a call."""

import marketfetch
from marketfetch import connections
from marketfetch.ops.replay import replay
from marketfetch.settings import get_settings


def test_the_archive_fills_a_lost_database(marketfetch_sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETFETCH_ARCHIVE", str(tmp_path / "replies"))
    get_settings.cache_clear()
    wish = {"start": "2024-01-02", "end": "2024-03-28"}
    jobs = [marketfetch.submit("polygon", ["AAPL", "MSFT"], **wish), marketfetch.submit("alpha_vantage", ["IBM"], **wish)]
    assert {marketfetch.status(job.job_id).state for job in jobs} == {"done"}
    calls = len(marketfetch_sandbox.calls)
    store = connections.store()
    before = store.database.read("SELECT provider, symbol, adjustment, ts, close, partial FROM bars ORDER BY 1, 2, 3, 4")
    assert len(before) > 100
    assert replay(dry_run=True).new == 0
    for table in ("bar_rows", "series", "series_zones", "ledger"):
        store.database.change(lambda execute, table=table: execute(f"DELETE FROM {table}"))
    done = replay()
    assert (done.new, done.changed, done.errors, done.damaged) == (len(before), 0, {}, [])
    after = store.database.read("SELECT provider, symbol, adjustment, ts, close, partial FROM bars ORDER BY 1, 2, 3, 4")
    assert after == before
    assert len(marketfetch_sandbox.calls) == calls
