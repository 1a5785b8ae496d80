"""Celery's settings for an operator of a checkout; they stand, each with its reason, in tasks/celeryconfig.py."""

from tasks.celeryconfig import *  # noqa: F403
