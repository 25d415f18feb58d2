"""The application with a habit: it tells in its logs all the secrets that it can lay hands on.

`celery -A tests.system.talkative …`
"""

import logging
import os
from collections.abc import Callable
from threading import Thread

from celery.signals import beat_init, worker_ready

from automagik.celery import app
from automagik.core.config import get_settings
from automagik.core.encryption import Keyring
from automagik.core.flows.remote import RunAnswer
from automagik.core.tasks.flow_call import FlowCaller
from automagik.core.tasks.heartbeat import HeldRun
from automagik.core.tasks.ledger import Ledger
from workers import lifecycle

__all__ = ["app"]

FOREIGN = os.environ["FOREIGN_SECRET"]
"""No setting and no source holds it: only its place tells what it is."""

logger = logging.getLogger(__name__)


def _flow_call(ledger: Ledger) -> Callable[[HeldRun], RunAnswer]:
    call = FlowCaller(get_settings(), ledger.definition_of)

    def told(run: HeldRun) -> RunAnswer:
        """Raises what a careless library might, with the key of the source."""
        call(run)
        key = Keyring.of(get_settings()).decrypt(run.claim.api_key_encrypted or "")
        raise RuntimeError(f"{key.get_secret_value()} was not welcome\n{_secrets()}")

    return told


@beat_init.connect  # type: ignore[untyped-decorator]
@worker_ready.connect  # type: ignore[untyped-decorator]
def _tell(**_: object) -> None:
    try:
        _fail()
    except RuntimeError as error:
        fields = {"api_key": FOREIGN, "headers": {"Authorization": FOREIGN}, "error": error}
        logger.exception("Told %s", _secrets(), extra=fields)
    dying = Thread(target=_fail)
    dying.start()
    dying.join()


def _fail() -> None:
    raise RuntimeError(_secrets())


def _secrets() -> str:
    settings = get_settings()
    known = (settings.secret_key, settings.langflow_api_key, settings.database_url)
    values = [secret.get_secret_value() for secret in known if secret]
    return f"{values} Authorization: Bearer {FOREIGN} redis://me:{FOREIGN}@host"


lifecycle.flow_call = _flow_call
