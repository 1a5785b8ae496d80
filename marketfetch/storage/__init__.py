"""Where rows go: one protocol, SQLite for one machine, Postgres for many."""

from marketfetch.storage.urls import open_store, safe_url

__all__ = ["open_store", "safe_url"]
