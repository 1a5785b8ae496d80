"""Workarounds for Celery 5.7, kombu 5.7, billiard 4.3 and redis-py 8.1. One file per fault: what fails, where it is reported,
and when the file can be deleted. The parts are put together in `worker/` (pool, consumer, transport) and `sending/` (results).
"""
