"""The Celery application: `celery -A automagik worker | beat | flower`."""

import gc
import sys
from collections.abc import Sequence
from typing import Any

from celery import Celery, concurrency
from celery.bin.beat import beat
from celery.bin.worker import worker

from automagik.core.exceptions import AutomagikError
from workers import flower, logs

# What Celery has imported stays. To look for garbage among it, time and again, would be a tenth of
# the time that a start takes.
gc.freeze()

app = Celery("automagik", events="workers.events:Events")
app.config_from_object("celeryconfig")

# Celery's own, but stopped at once they lose no run.
for pool in ("threads", "prefork"):
    concurrency.ALIASES[pool] = f"workers.{pool}:TaskPool"
concurrency.ALIASES["processes"] = concurrency.ALIASES["prefork"]

# The work is waiting for HTTP, so threads are the default. Not by the setting `worker_pool`: Celery
# cannot tell `-P prefork` from its own default, and would let the setting win over it.
# Workers have nothing to tell each other: to look for neighbours costs each start a second, and
# gossip lets every worker listen to all others.
_DEFAULTS = {"pool": "threads", "without_mingle": True, "without_gossip": True}


# Not by the setting `imports`, which beats heed, too. They send deliveries by the name of the task;
# what runs it would be 6 MB in each of them, and a tenth of their start.
def _with_ours(_ctx: Any, _option: Any, modules: Sequence[str] | None) -> list[str]:
    return ["workers.tasks", "workers.lifecycle", *(modules or ())]


for option in worker.params:
    option.default = _DEFAULTS.get(option.name, option.default)
    if option.name == "include":
        option.callback = _with_ours

for command in (worker, beat):
    logs.begin_with(command)
# Celery's command line has imported Flower if it is there.
if "flower.command" in sys.modules:
    command = sys.modules["flower.command"].flower
    logs.begin_with(command)
    flower.configure(command)

try:
    app.conf.broker_url  # noqa: B018  (reads the settings now, to say in one line what is missing)
except AutomagikError as error:
    sys.stderr.write(f"automagik: {error.message} {error.hint or ''}\n")
    sys.exit(error.exit_code)
