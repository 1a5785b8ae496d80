"""Where rows go: one store, on SQLite for one machine or on Postgres for many. Importing it loads no driver but SQLite's."""

from marketfetch.storage.urls import open_store, safe_url

__all__ = ["open_store", "safe_url"]
