"""`automagik status`: one screen that says whether all is well."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from automagik.cli.context import printer, settings
from automagik.cli.printer import Column, Output, visible
from automagik.cli.times import ago, duration, when

if TYPE_CHECKING:
    from automagik.core.health.facts import KnownSource, LastFailure, StoredFacts
    from automagik.core.health.redis_facts import RedisFacts
    from automagik.core.health.status import Health, Problem
    from automagik.core.queues import Queue
    from automagik.core.tasks.workers import Beat

app = typer.Typer()

_SHOWN = 80
"""Characters of what a failure says."""


@app.command()
def status() -> None:
    """Show on one screen whether all is well; the exit code is 1 when it is not.

    Example: automagik status
    """
    from automagik.core.health.status import examine

    health = examine(settings())
    if printer().output in (Output.JSON, Output.JSONL, Output.YAML):
        printer().item({"is_well": health.is_well, **asdict(health)})
    else:
        screen = _screen(health)
        printer().item(screen, [Column(key) for key in screen])
        _show(health.problems, health.notices)
    raise typer.Exit(0 if health.is_well else 1)


def _screen(health: "Health") -> dict[str, str]:
    stored = health.stored
    return {
        "verdict": _verdict(health.problems),
        "database": f"✓ PostgreSQL {stored.postgres_version}" if stored else "✗ see below",
        "redis": _redis(health.redis),
        **(_stored(stored) if stored else {}),
    }


def _stored(stored: "StoredFacts") -> dict[str, str]:
    from automagik.core.queues import at_least

    live_beats = [beat for beat in stored.beats if beat.is_live]
    live_workers = [worker for worker in stored.workers if worker.is_live]
    slots, busy = sum(w.slots for w in live_workers), sum(w.busy for w in live_workers)
    due = stored.oldest_due_age
    return {
        "beats": _living(len(live_beats), _last_tick(stored.beats)),
        "workers": _living(len(live_workers), f"{busy} of {slots} slots busy"),
        "queues": "\n".join(_queue(queue) for queue in stored.queues),
        "tasks": _counts(stored.open_tasks, none="none open", words=at_least),
        "due_longest": f"{duration(due)} ago" if due else "nothing waits",
        "last_24_hours": _counts(stored.ended_lately, none="none ended"),
        "schedules": _counts(stored.schedules, none="none yet"),
        "next_runs": "\n".join(
            f"{run.schedule} · {when(run.at, now=stored.now, zone=run.timezone)}"
            for run in stored.next_runs
        )
        or "none",
        "sources": "\n".join(map(_source, stored.sources)) or "none yet",
        "last_failures": "\n".join(map(_failure, stored.last_failures)) or "none",
    }


def _verdict(problems: "Sequence[Problem]") -> str:
    """For who reads one line: the first thing that is not well."""
    if not problems:
        return "✓ All is well."
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"✗ Trouble: {problems[0].what}{more}"


def _living(count: int, detail: str) -> str:
    return f"✓ {count} live · {detail}" if count else f"✗ none live · {detail}"


def _last_tick(beats: "Sequence[Beat]") -> str:
    return f"last tick {duration(beats[0].tick_age)} ago" if beats else "none seen lately"


def _counts(
    counts: Mapping[Any, int], *, none: str, words: Callable[[int], str] = "{:,}".format
) -> str:
    return " · ".join(f"{words(count)} {what}" for what, count in sorted(counts.items())) or none


def _redis(redis: "RedisFacts | None") -> str:
    if redis is None:
        return "✗ see below"
    return f"✓ {redis.server.capitalize()} {redis.version} · {redis.ready:,} in the ready-queues"


def _queue(queue: "Queue") -> str:
    state = "paused" if queue.paused_at else f"{queue.slots} slots"
    oldest = f", the oldest for {duration(queue.oldest_age)}" if queue.oldest_age else ""
    waiting = f"{queue.waiting} due{oldest}"
    return f"{queue.name} · {state} · {waiting} · {queue.running:,} running"


def _source(source: "KnownSource") -> str:
    return f"{source.name} · {source.url} · {_source_state(source)}"


def _source_state(source: "KnownSource") -> str:
    if source.disabled_at:
        return "disabled"
    version = f"LangFlow {source.version or 'never reached'}"
    return f"{version} · down" if source.breaker_opened_at else version


def _failure(failure: "LastFailure") -> str:
    what = visible(failure.message or failure.error_code or "").partition("\n")[0]
    return f"{failure.flow} · {ago(failure.at)} · {failure.task_id} · {what[:_SHOWN]}"


def _show(problems: "Sequence[Problem]", notices: "Sequence[Problem]") -> None:
    if printer().shape is Output.TSV and not printer().fields:
        rows = [_row("problem", each) for each in problems] + [_row("notice", e) for e in notices]
        printer().items(rows, [Column("kind"), Column("what")], empty="")
    if not printer().for_people:
        return
    for mark, found in (("✗", problems), ("!", notices)):
        for each in found:
            printer().raw(f"\n{mark} {each.what}\n")
            printer().raw(f"  {each.fix}\n" if each.fix else "")


def _row(kind: str, problem: "Problem") -> dict[str, str]:
    """Beside the other facts, in two cells as they are."""
    return {"kind": kind, "what": f"{problem.what} {problem.fix or ''}".strip()}
