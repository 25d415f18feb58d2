"""Every metric that is exposed: its name, its labels, what it says and what it costs to know."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The types of Prometheus that are used."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Cost(StrEnum):
    """What a scrape pays for it."""

    FREE = "nothing"
    INDEX = "one end of an index"
    CAPPED = "up to 10,000 entries of an index"
    LIVE = "as much as is under way"
    FEW = "a small table"
    ENDS = "what has happened since the last scrape"
    REDIS = "one round trip to Redis"


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All series of one name."""

    name: str
    kind: Kind
    meaning: str
    cost: Cost
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, in seconds."""


SHORT = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
LONG = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


def _gauge(name: str, meaning: str, cost: Cost, *labels: str) -> Family:
    return Family(
        name=f"automagik_{name}", kind=Kind.GAUGE, meaning=meaning, cost=cost, labels=labels
    )


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return Family(
        name=f"automagik_{name}_total",
        kind=Kind.COUNTER,
        meaning=meaning,
        cost=Cost.ENDS,
        labels=labels,
    )


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Family:
    return Family(
        name=f"automagik_{name}_seconds",
        kind=Kind.HISTOGRAM,
        meaning=meaning,
        cost=Cost.ENDS,
        labels=labels,
        buckets=buckets,
    )


BUILD_INFO = _gauge(
    "build_info",
    "1, of the process that answers; `schema` is the revision of the database that it reads.",
    Cost.FREE,
    "version",
    "python",
    "schema",
)
UP = _gauge("up", "Whether PostgreSQL answered, with a schema that this version knows.", Cost.FREE)
REDIS_UP = _gauge("redis_up", "Whether Redis answered.", Cost.REDIS)
READ_SECONDS = _gauge("metrics_read_seconds", "How long this look at both took.", Cost.FREE)
EVENTS_BEHIND = _gauge(
    "metrics_events_behind",
    "How many events are not counted yet: after a long time without a scrape it takes several.",
    Cost.INDEX,
)
DATABASE_TIME = _gauge(
    "database_timestamp_seconds",
    "PostgreSQL's clock, which decides what is due. Compare timestamps with it.",
    Cost.FREE,
)

TASKS = _gauge(
    "tasks",
    "Tasks that have not ended; 10,000 means that many or more. What has ended is counted by"
    " `automagik_tasks_finished_total`.",
    Cost.CAPPED,
    "state",
)
TASKS_DUE = _gauge(
    "tasks_due",
    "Tasks that wait in PostgreSQL although their time has come; 10,000 means that many or more.",
    Cost.CAPPED,
    "queue",
    "source",
)
OLDEST_PENDING = _gauge(
    "task_oldest_pending_seconds",
    "For how long the task that waits longest for its start has been due; 0 when none is. Those of"
    " a paused queue, of a disabled source and of one that is down are not meant.",
    Cost.CAPPED,
    "queue",
)
QUEUE_PAUSED = _gauge("queue_paused", "Whether the queue is paused.", Cost.FEW, "queue")
QUEUE_WORKERS = _gauge(
    "queue_workers", "Live workers that take from the queue.", Cost.LIVE, "queue"
)
QUEUE_SLOTS = _gauge("queue_slots", "How many tasks these can run at a time.", Cost.LIVE, "queue")
QUEUE_RUNNING = _gauge("queue_running", "Tasks of the queue that run.", Cost.LIVE, "queue")
DELIVERIES = _gauge(
    "queue_deliveries", "Deliveries that wait in Redis for a worker.", Cost.REDIS, "queue"
)
SCHEDULES = _gauge(
    "schedules",
    "Schedules by status. Left out where there are more than 100,000, which would have to be"
    " counted one by one.",
    Cost.FEW,
    "status",
)
OVERDUE = _gauge(
    "schedule_overdue_seconds",
    "For how long the schedule that has waited longest for a beat has been due; 0 when none is.",
    Cost.INDEX,
)
OLDEST_FOLLOW_UP = _gauge(
    "follow_up_oldest_seconds",
    "For how long the end of a run has waited for the runs that follow it; 0 when none does.",
    Cost.FEW,
)
BEATS = _gauge("beats", "Live beats.", Cost.FEW)
LAST_TICK = _gauge(
    "beat_last_tick_timestamp_seconds",
    "The latest sign of life of any beat, by PostgreSQL's clock. Absent while there never was one.",
    Cost.FEW,
)
WORKERS = _gauge(
    "workers",
    "Workers by state: `online`, `draining`, `silent` (no sign of life, not marked yet) and `lost`"
    " (marked within the last hour).",
    Cost.LIVE,
    "state",
)
SLOTS = _gauge("worker_slots", "Slots of live workers: `busy` and `free`.", Cost.LIVE, "state")
PROCESSES = _gauge("processes", "Live beats and workers by version.", Cost.LIVE, "kind", "version")
CLOCK_OFFSET = _gauge(
    "clock_offset_seconds",
    "How far the clock of a host with live beats or workers is ahead of PostgreSQL's.",
    Cost.LIVE,
    "host",
)
BREAKER_OPEN = _gauge(
    "source_breaker_open", "Whether the source counts as down.", Cost.FEW, "source"
)
IN_A_ROW = _gauge(
    "source_failures_in_a_row",
    "How many attempts in a row found the source down.",
    Cost.FEW,
    "source",
)
DISABLED = _gauge(
    "source_disabled", "Whether somebody keeps runs from the source.", Cost.FEW, "source"
)

TASKS_CREATED = _counter("tasks_created", "Tasks that were recorded.", "source", "flow", "trigger")
TASKS_FINISHED = _counter(
    "tasks_finished",
    "Tasks that came to an end; one that is retried by hand may end again.",
    "source",
    "flow",
    "trigger",
    "outcome",
)
ATTEMPTS = _counter(
    "task_attempts",
    "Attempts that ended; `error_code` is empty where there was no error.",
    "source",
    "flow",
    "outcome",
    "error_code",
)
TRANSITIONS = _counter(
    "task_transitions",
    "Changes of state. To `queued`: dispatched. From `running` to `waiting`: to be tried again."
    " From `queued` to `waiting`: held back.",
    "from_state",
    "to_state",
)
LEASES_EXPIRED = _counter(
    "leases_expired", "Attempts that were taken from a worker that gave no sign of life."
)
REPUBLISHED = _counter(
    "republished",
    "Tasks that started after their delivery had been lost and sent again.",
)
LAG = _histogram(
    "schedule_lag",
    "From the instant at which a schedule's task was due to its dispatch, without backfills.",
    SHORT,
)
QUEUE_WAIT = _histogram(
    "task_queue_wait", "From the dispatch of a task to its start.", SHORT, "queue"
)
DURATION = _histogram(
    "task_duration",
    "From the start of an attempt to its end.",
    LONG,
    "source",
    "flow",
    "outcome",
)

PRESENT = (
    *(BUILD_INFO, UP, REDIS_UP, READ_SECONDS, DATABASE_TIME),
    *(TASKS, TASKS_DUE, OLDEST_PENDING),
    *(QUEUE_PAUSED, QUEUE_WORKERS, QUEUE_SLOTS, QUEUE_RUNNING, DELIVERIES),
    *(SCHEDULES, OVERDUE, OLDEST_FOLLOW_UP),
    *(BEATS, LAST_TICK, WORKERS, SLOTS, PROCESSES, CLOCK_OFFSET),
    *(BREAKER_OPEN, IN_A_ROW, DISABLED),
)
"""What is so at the moment of a look."""

COUNTED = (
    EVENTS_BEHIND,
    *(TASKS_CREATED, TASKS_FINISHED, ATTEMPTS, TRANSITIONS, LEASES_EXPIRED, REPUBLISHED),
    *(LAG, QUEUE_WAIT, DURATION),
)
"""What a server counts from its start on."""
