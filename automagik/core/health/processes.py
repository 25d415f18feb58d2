"""Beats and workers: alive, of one version, their clocks right, and no queue without a worker."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from automagik import __version__
from automagik.core.config import Settings
from automagik.core.database.migrate import require_current
from automagik.core.health.check import Check, error, ok, warning
from automagik.core.health.facts import opened
from automagik.core.health.status import deserted, paused
from automagik.core.queues import Queue, list_queues
from automagik.core.tasks.host_clock import is_far_off
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers


def check_processes(settings: Settings) -> Iterator[Check]:
    lease = timedelta(seconds=settings.lease_seconds)
    with opened(settings) as database, database.transaction() as connection:
        require_current(connection)
        beats = [beat for beat in list_beats(connection, lease=lease) if beat.is_live]
        known = list_workers(connection, lease=lease)
        queues = list_queues(connection, default=settings.queue, lease=lease)
    workers = [worker for worker in known if worker.is_live]
    yield beat_check(beats)
    yield worker_check(workers, queue=settings.queue)
    yield from silent_checks(known)
    yield clock_check([*beats, *workers])
    yield version_check([*beats, *workers])
    yield from queue_checks(queues)


def beat_check(live: Sequence[Beat]) -> Check:
    if not live:
        return error("Beats", "none is live", fix="Run: automagik up, or celery -A automagik beat")
    return ok("Beats", f"{len(live)} live, last tick {_ago(min(b.tick_age for b in live))}")


def worker_check(live: Sequence[Worker], *, queue: str) -> Check:
    fix = "Run: automagik up, or celery -A automagik worker"
    if not live:
        return error("Workers", "none is live", fix=fix)
    if not any(queue in worker.queues for worker in live):
        return error("Workers", f"none of the {len(live)} takes from the queue {queue}", fix=fix)
    slots, age = sum(w.slots for w in live), max(w.heartbeat_age for w in live)
    return ok("Workers", f"{len(live)} live with {slots} slots, oldest heartbeat {_ago(age)}")


def silent_checks(known: Sequence[Worker]) -> Iterator[Check]:
    """Those that nobody has marked yet, as a beat does at once."""
    for worker in known:
        if not worker.is_live and worker.status in ("online", "draining"):
            found = f"no sign of life from {worker.name} for {_ago(worker.heartbeat_age)[:-4]}"
            yield warning("Silent worker", found, fix="Run: automagik doctor --fix")


def version_check(live: Sequence[Beat | Worker]) -> Check:
    others = sorted({process.version for process in live} - {__version__})
    if not others:
        return ok("Versions", f"all are {__version__}")
    return warning(
        "Versions",
        f"this is {__version__}, but {', '.join(others)} runs too",
        fix="Bring all hosts to one version, and restart their beats and workers.",
    )


def clock_check(live: Sequence[Beat | Worker]) -> Check:
    """Each process compares its host's clock with PostgreSQL's at each sign of life."""
    wrong = {
        f"{process.hostname} is {process.clock_offset_seconds:+.1f} s"
        for process in live
        if is_far_off(process.clock_offset_seconds)
    }
    if not wrong:
        return ok("Clocks", "those of all beats and workers agree with PostgreSQL's")
    return warning(
        "Clocks",
        f"against PostgreSQL {', '.join(sorted(wrong))}",
        fix="Synchronize the clocks of these hosts by NTP; what is due is not affected.",
    )


def queue_checks(queues: Sequence[Queue]) -> Iterator[Check]:
    """Silent about queues that are well."""
    for queue in queues:
        if queue.is_deserted:
            problem = deserted(queue)
            yield error(f"Queue {queue.name}", problem.what, fix=problem.fix)
        elif queue.paused_at is not None:
            problem = paused(queue)
            yield warning(f"Queue {queue.name}", problem.what, fix=problem.fix)


def _ago(age: timedelta) -> str:
    return f"{age.total_seconds():.1f} s ago"
