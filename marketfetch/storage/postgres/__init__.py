"""Postgres: the store for many machines."""
