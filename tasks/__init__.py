"""When things run: the only package that knows Celery. `celery -A tasks worker` finds the app here."""

from .app import app

__all__ = ["app"]
