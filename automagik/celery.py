"""The Celery application: `celery -A automagik worker | beat | flower`."""

import sys

from celery import Celery

from automagik.core.exceptions import AutomagikError

app = Celery("automagik")
app.config_from_object("celeryconfig")

try:
    app.conf.broker_url  # noqa: B018  (reads the settings now, to say in one line what is missing)
except AutomagikError as error:
    sys.stderr.write(f"automagik: {error.message} {error.hint or ''}\n")
    sys.exit(error.exit_code)
