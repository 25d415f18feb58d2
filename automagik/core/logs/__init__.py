"""What processes say of themselves: its form, what it is about, and what it must not tell.

A run's own log lines, which people read with `automagik tasks logs`, are rows: core/tasks/log.py.
"""
