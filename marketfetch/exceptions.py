"""The errors of the public functions: one sentence each, for a person, and one class for each answer that an app gives.

MarketfetchError          what was asked can't be done: what happened, why, and what to do
├── UnknownJob            no job has this id                                        404
├── BadRequestError       the arguments are wrong, or the job's state forbids it    422
│   ├── UnknownName       no schedule, dead message or key has this name            404
│   ├── WrongValueError   what was written can't be right (a dataset that there is not); the command exits with 2
│   └── UnreadableJob     the recorded job is damaged, or another release made it
└── UnavailableError      Redis, the database or a key is not there now             503
    ├── MissingExtra      an optional dependency is not installed (extras.py)
    └── SettingsError     the settings are wrong (settings.py)

No message holds a secret.
"""

from __future__ import annotations


class MarketfetchError(Exception):
    """What happened, why, and what to do. The command line prints it and exits with 1, without a traceback."""


class UnknownJob(MarketfetchError):
    """No job has this id in this database. For a web app: 404."""


class BadRequestError(MarketfetchError):
    """The arguments are wrong, or the state of the job forbids what was asked. For a web app: 422."""


class UnknownName(BadRequestError):
    """No schedule, dead message or key has this name. For a web app: 404."""


class WrongValueError(BadRequestError):
    """What was written can't be right, by itself or by the vendor's rules: the command line exits with 2."""


class UnavailableError(MarketfetchError):
    """Redis, the database or an API key can't be used now; the same call may work later. For a web app: 503."""


class AdjustmentWarning(UserWarning):
    """What is doubtful about adjusted prices: a split that a vendor has twice, a list that is older than the bars."""


class UnreadableJob(BadRequestError):
    """This release can't read a recorded job. The other jobs are not affected."""
