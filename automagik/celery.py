"""The Celery application: `celery -A automagik worker | beat | flower`."""

import sys

from celery import Celery, concurrency
from celery.bin.worker import worker

from automagik.core.exceptions import AutomagikError

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
for option in worker.params:
    option.default = _DEFAULTS.get(option.name, option.default)

try:
    app.conf.broker_url  # noqa: B018  (reads the settings now, to say in one line what is missing)
except AutomagikError as error:
    sys.stderr.write(f"automagik: {error.message} {error.hint or ''}\n")
    sys.exit(error.exit_code)
