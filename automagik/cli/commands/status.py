"""`automagik status`: one screen that says whether all is well."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from automagik.cli.context import printer, settings
from automagik.cli.printer import Column, Output
from automagik.cli.times import duration, when

if TYPE_CHECKING:
    from automagik.core.facts import KnownSource, RedisFacts, StoredFacts
    from automagik.core.health import Health, Problem
    from automagik.core.queues import Queue
    from automagik.core.tasks.workers import Beat

app = typer.Typer()


@app.command()
def status() -> None:
    """Show on one screen whether all is well; the exit code is 1 when it is not.

    Example: automagik status
    """
    from automagik.core.health import examine

    health = examine(settings())
    if printer().output in (Output.JSON, Output.JSONL):
        printer().item({"is_well": health.is_well, **asdict(health)})
    else:
        screen = _screen(health)
        printer().item(screen, [Column(key) for key in screen])
        _show(health.problems, health.notices)
    raise typer.Exit(0 if health.is_well else 1)


def _screen(health: "Health") -> dict[str, str]:
    stored = health.stored
    return {
        "database": f"✓ PostgreSQL {stored.postgres_version}" if stored else "✗ see below",
        "redis": _redis(health.redis),
        **(_stored(stored) if stored else {}),
    }


def _stored(stored: "StoredFacts") -> dict[str, str]:
    live_beats = [beat for beat in stored.beats if beat.is_live]
    live_workers = [worker for worker in stored.workers if worker.is_live]
    slots, busy = sum(w.slots for w in live_workers), sum(w.busy for w in live_workers)
    due = stored.oldest_due_age
    return {
        "beats": _living(len(live_beats), _last_tick(stored.beats)),
        "workers": _living(len(live_workers), f"{busy} of {slots} slots busy"),
        "queues": "\n".join(_queue(queue) for queue in stored.queues),
        "tasks": _counts(stored.open_tasks, none="none open"),
        "due_longest": f"{duration(due)} ago" if due else "nothing waits",
        "last_24_hours": _counts(stored.ended_lately, none="none ended"),
        "schedules": _counts(stored.schedules, none="none yet"),
        "next_runs": "\n".join(
            f"{run.schedule} · {when(run.at, now=stored.now, zone=run.timezone)}"
            for run in stored.next_runs
        )
        or "none",
        "sources": "\n".join(map(_source, stored.sources)) or "none yet",
    }


def _living(count: int, detail: str) -> str:
    return f"✓ {count} live · {detail}" if count else f"✗ none live · {detail}"


def _last_tick(beats: "Sequence[Beat]") -> str:
    return f"last tick {duration(beats[0].tick_age)} ago" if beats else "none seen lately"


def _counts(counts: Mapping[Any, int], *, none: str) -> str:
    return " · ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or none


def _redis(redis: "RedisFacts | None") -> str:
    if redis is None:
        return "✗ see below"
    return f"✓ {redis.server.capitalize()} {redis.version} · {redis.ready:,} in the ready-queues"


def _queue(queue: "Queue") -> str:
    state = "paused" if queue.paused_at else f"{queue.slots} slots"
    return f"{queue.name} · {state} · {queue.due + queue.queued:,} due · {queue.running:,} running"


def _source(source: "KnownSource") -> str:
    state = "disabled" if source.disabled_at else f"LangFlow {source.version or 'never reached'}"
    return f"{source.name} · {source.url} · {state}"


def _show(problems: "Sequence[Problem]", notices: "Sequence[Problem]") -> None:
    if not printer().for_people:
        for kind, found in (("problem", problems), ("notice", notices)):
            printer().raw("".join(f"{kind}\t{each.what}\t{each.fix or ''}\n" for each in found))
        return
    if not problems:
        printer().raw("\n✓ All is well.\n")
    for mark, found in (("✗", problems), ("!", notices)):
        for each in found:
            printer().raw(f"\n{mark} {each.what}\n")
            printer().raw(f"  {each.fix}\n" if each.fix else "")
