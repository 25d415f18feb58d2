"""How much a beat does in one transaction."""

BATCH = 500
"""Rows: others wait for its commit, and the next one follows at once."""
