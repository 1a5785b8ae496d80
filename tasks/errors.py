"""UserError: what a person asked for can't be done, in one sentence."""

from __future__ import annotations


class UserError(Exception):
    """What happened, why, and what to do. The command line prints it and exits with 1; no traceback."""


class UnreadableJob(UserError):
    """A recorded job that this release can't read. The other jobs are not concerned."""
