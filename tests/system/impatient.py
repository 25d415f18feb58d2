"""The application with a tenth of its patience, for tests that cannot wait for a minute.

`celery -A tests.system.impatient …`, or `python -m tests.system.impatient …` as the command line.
"""

import sys
from datetime import timedelta

from automagik.celery import app
from automagik.cli.cli import main
from automagik.core.database import patience, session

__all__ = ["app"]

patience.PatientConnection.patience = timedelta(seconds=3)
patience.CONNECT_PATIENCE = timedelta(seconds=2)
session._ASK_EVERY = timedelta(seconds=1)
app.conf.broker_transport_options |= {"socket_timeout": 1, "health_check_interval": 1}

if __name__ == "__main__":
    sys.exit(main())
