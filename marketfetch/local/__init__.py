"""Servers embedded for one machine: Valkey, Postgres, and the sandbox as a child process."""
