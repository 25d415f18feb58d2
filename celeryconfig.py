"""Celery's settings. PostgreSQL is the truth; Celery only carries task ids to workers."""

from kombu.transport import TRANSPORT_ALIASES

from automagik.core.config import get_settings

_settings = get_settings()

# Under their own names: with any other kombu would not know that rediss is encrypted.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "workers.transport:Transport"))

broker_url = _settings.require_redis_url()
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A worker has one loop for all its commands, and each may hang as long as the timeout. Within the
# double interval it also notices that nothing answers to its wait for deliveries.
broker_transport_options = {
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # Who publishes hears of a failure at once: beats and workers have their own ways to try again.
    "max_retries": 0,
}
# A failed publish leaves the row as it was, and the next tick tries again.
task_publish_retry = False

accept_content = ["json"]
task_serializer = "json"
task_default_queue = _settings.queue
# Results live in PostgreSQL.
task_ignore_result = True
# With early acknowledgement a worker hoards deliveries it cannot start: docs/decisions/0001.
task_acks_late = True
worker_prefetch_multiplier = 1

worker_concurrency = _settings.worker_concurrency
worker_send_task_events = True
task_send_sent_event = True
worker_cancel_long_running_tasks_on_connection_loss = False

beat_scheduler = "workers.beat:DatabaseScheduler"
