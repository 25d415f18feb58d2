"""The Celery side: beat's tick, the one task, and what a worker does when it starts and stops."""
