"""Options that only a schedule with a clock can have. Pure."""

from typing import TYPE_CHECKING

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.policy_columns import PolicyChange, PolicyOption
from automagik.core.scheduler.rule_text import RuleLimits, RuleOption

if TYPE_CHECKING:
    from automagik.core.scheduler.values import ScheduleChange

_MISFIRES = (
    PolicyOption.MISFIRE,
    PolicyOption.MISFIRE_GRACE,
    PolicyOption.CATCH_UP,
    PolicyOption.CATCH_UP_ORDER,
)


def refuse_clock(change: "ScheduleChange") -> None:
    """Of a change of a chain. Raises InvalidInput."""
    said = ["a time rule"] if change.cadence is not None else []
    said += ["--timezone"] if change.timezone is not None else []
    said += [f"--{each}" for each in RuleOption if getattr(change, each.limit) is not None]
    said += _misfires(change.policies)
    said += [f"--unset {each}" for each in change.unset if isinstance(each, RuleOption)]
    _refuse(said)


def refuse_limits(limits: RuleLimits, policies: PolicyChange | None) -> None:
    """Of a new chain. Raises InvalidInput."""
    plain = RuleLimits()
    said = [
        f"--{each}"
        for each in RuleOption
        if getattr(limits, each.limit) != getattr(plain, each.limit)
    ]
    _refuse(said + ([] if policies is None else _misfires(policies)))


def _misfires(policies: PolicyChange) -> list[str]:
    return [
        f"--{each}" for each in _MISFIRES if getattr(policies, each.replace("-", "_")) is not None
    ]


def _refuse(said: list[str]) -> None:
    if said:
        verb = "belongs" if len(said) == 1 else "belong"
        raise InvalidInput(
            f"{' and '.join(said)} {verb} to a clock, which a schedule with --after has not.",
            hint="It runs whenever what it follows has ended. --jitter and --spread delay it.",
        )
