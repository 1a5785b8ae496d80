"""The errors of the public functions: one sentence each, for a person, and one class for each answer that an app gives.

MarketfetchError          what was asked can't be done: what happened, why, and what to do
├── UnknownJob            no job has this id                                     404
├── BadRequestError       the arguments are wrong, or the job's state forbids it 422
└── UnavailableError      Redis, the database, or a key is not there now         503
"""

from __future__ import annotations


class MarketfetchError(Exception):
    """What happened, why, and what to do. The command line prints it and exits with 1; no traceback, never a secret."""


class UnknownJob(MarketfetchError):
    """No job has this id in this database. For a web app: 404."""


class BadRequestError(MarketfetchError):
    """The arguments are wrong, or the state of the job forbids what was asked. For a web app: 422."""


class UnavailableError(MarketfetchError):
    """Redis or the database can't be used now, or no API key is configured; later it may work. For a web app: 503."""


class UnreadableJob(BadRequestError):
    """A recorded job that this release can't read. The other jobs are not concerned."""
