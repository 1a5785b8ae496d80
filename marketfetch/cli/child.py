"""`python -P -m marketfetch.cli.child worker ...`: `celery -A marketfetch worker ...`."""

from __future__ import annotations

import sys

from celery.__main__ import main

if __name__ == "__main__":
    sys.argv[:1] = ["celery", "-A", "marketfetch"]
    main()
