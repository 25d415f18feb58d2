"""What the log lines of a process, and of each of its threads, are about."""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

Facts = dict[str, str | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A run, as far as it is known: before its claim there is only its id."""

    task_id: UUID
    attempt: int | None = None
    flow: str | None = None
    schedule: str | None = None

    def facts(self) -> Facts:
        named = {
            "task_id": str(self.task_id),
            "attempt": self.attempt,
            "flow": self.flow,
            "schedule": self.schedule,
        }
        return {name: value for name, value in named.items() if value is not None}


_subject: ContextVar[Subject | None] = ContextVar("subject", default=None)
_speaker: Facts = {}


def turn_to(subject: Subject | None) -> None:
    """What this thread says from now on is about that; None: about no run."""
    _subject.set(subject)


def introduce(**speaker: str) -> None:
    """Who speaks, such as `worker="worker@host"`. Forked processes inherit it."""
    _speaker.update(speaker)


def speaker() -> Facts:
    """The process, by the names that its facts have in logs."""
    return _speaker


def subject() -> Facts:
    """The run that this thread is about."""
    current = _subject.get()
    return {} if current is None else current.facts()
