"""When things run: the only package that knows Celery. `celery -A tasks worker` finds the app here."""

from marketfetch.extras import need

need("celery", "requests", for_what="The Celery side of marketfetch (marketfetch.tasks)")

from .app import app  # noqa: E402 (the sentence above comes first)
from .hosting import install  # noqa: E402

__all__ = ["app", "install"]
