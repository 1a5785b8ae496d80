"""Jobs from wish to ledger: submit, plan, feed, status, cancel, batches. Usable without Celery, and knows no vendor."""
