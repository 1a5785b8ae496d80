"""`python -P -m cli.child worker ...`: `celery -A tasks worker ...`, with our own `tasks`.

Celery looks for `tasks` in the current folder first, and many a folder has a tasks.py of its own.
"""

from __future__ import annotations

import sys

from celery.__main__ import main

import tasks

if __name__ == "__main__":
    sys.argv[:1] = ["celery", "-A", tasks.__name__]
    main()
