"""What Celery 5.7, kombu and billiard get wrong, and how long each patch stays: one file a fault."""
