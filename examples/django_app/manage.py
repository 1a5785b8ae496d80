"""A Django project that enqueues market data and shows a progress bar.

    pip install marketfetch django
    python manage.py migrate --run-syncdb && python manage.py runserver    # in this folder, beside a running `marketfetch up`

Then http://127.0.0.1:8000. Redis or the database of marketfetch away: 503; a wrong wish: 422; an unknown one: 404.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
