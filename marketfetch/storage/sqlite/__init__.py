"""SQLite: the store for one machine."""
