"""How Flower behaves for AutoMagik unless a variable, a `flowerconfig.py` or an option says else.

The names are those of Flower's options: https://flower.readthedocs.io/en/latest/config.html
"""

# Flower's own default is every address of the host.
address = "127.0.0.1"

# The truth is in PostgreSQL, and what Flower can do goes past it: a task that is revoked here goes
# on waiting there, and a worker that consumes no more still counts as one that does.
read_only = True

# What is kept is in memory alone, and there is an end to it: 7 KB a task.
persistent = False
max_tasks = 10_000
max_workers = 1_000
# Workers in containers have a new name after each start; figures of the old ones would pile up.
purge_offline_workers = 3_600

# Ours do it by themselves. Asking for it is a broadcast to all of them every five seconds.
enable_events = False

# Every task has the same name. What tells runs apart stands where Celery keeps arguments.
tasks_columns = "args,kwargs,state,received,runtime,worker,uuid,exception"
