"""The business rules. Nothing here knows of Typer, FastAPI or Celery."""
