"""Where rows go: one store, on SQLite for one machine or on Postgres for many. Importing it loads no driver but SQLite's."""

from marketfetch.storage.urls import file_of, open_store, safe_url

__all__ = ["file_of", "open_store", "safe_url"]
