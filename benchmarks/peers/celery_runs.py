"""Celery as its users run it: a task that does nothing, and one that asks a server.

    python celery_runs.py TASK COUNT [ARGUMENT]      publishes so many messages
    celery -A celery_runs worker -P POOL -c COUNT    takes them

BROKER_URL names the broker. With RESULT_BACKEND the results are kept, and acknowledged late with
the start tracked, which is as near as Celery comes to a durable run.
"""

import os
import sys
import uuid

import requests
from celery import Celery

_backend = os.environ.get("RESULT_BACKEND")
app = Celery("celery_runs", broker=os.environ["BROKER_URL"], backend=_backend)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=_backend is None,
    task_acks_late=_backend is not None,
    task_track_started=_backend is not None,
)


@app.task  # type: ignore[untyped-decorator]
def noop() -> dict[str, list[str]]:
    return {"outputs": []}


@app.task  # type: ignore[untyped-decorator]
def ask(url: str) -> str:
    body = {
        "session_id": str(uuid.uuid4()),
        "input_type": "chat",
        "output_type": "any",
        "input_value": "hello",
    }
    answer = requests.post(url, params={"stream": "true"}, json=body, timeout=60)
    answer.raise_for_status()
    return answer.text


def publish(task: str, count: int, *arguments: str) -> None:
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            app.send_task(f"celery_runs.{task}", args=arguments, producer=producer)


if __name__ == "__main__":
    publish(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
