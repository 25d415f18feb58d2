"""Schedules of all kinds, as the command line could have made them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits
from automagik.core.scheduler.schedule_type import ScheduleType

CADENCES = [
    CadenceText(type="interval", expr="5400s"),
    CadenceText(type="interval", expr="10d"),
    CadenceText(type="calendar", expr="every 3 days at 9:00"),
    CadenceText(type="calendar", expr="every 2 weeks on mon,thu at 08:00,17:30"),
    CadenceText(type="cron", expr="0 9 * * 1-5"),
    CadenceText(type="cron", expr="@daily"),
    CadenceText(type="cron", expr="CRON_TZ=Asia/Tokyo h 5 * * *"),
    CadenceText(type="cron", expr="@every 7h"),
    CadenceText(type="rrule", expr="freq=MONTHLY;BYDAY=-1FR;BYHOUR=9"),
    CadenceText(type="rrule", expr="DTSTART;TZID=Europe/Berlin:20351201T090000 RRULE:FREQ=DAILY"),
    CadenceText(type="oneshot", expr="2035-12-01T09:00"),
    CadenceText(type="oneshot", expr="2035-10-28T01:30:00.25Z"),
    CadenceText(type="oneshot", expr="2035-10-28T00:30Z"),
]
ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"]
LENGTHS = st.integers(1, 10**12).map(lambda micro: timedelta(microseconds=micro)) | st.sampled_from(
    [timedelta(seconds=1), timedelta(minutes=90), timedelta(days=2)]
)
INSTANTS = st.sampled_from(
    [
        datetime(2035, 1, 1, tzinfo=UTC),
        datetime(2035, 3, 24, 23, tzinfo=UTC),
        datetime(2035, 10, 28, 0, 30, tzinfo=UTC),
        datetime(2035, 10, 28, 1, 30, 7, tzinfo=UTC),
    ]
)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
) | st.sampled_from(["on", "09:00", "two\nlines\n", " around ", '{"input": 1}', "@file", "null"])
COUNTS = st.none() | st.integers(1, 50)

LIMITS = st.builds(
    RuleLimits,
    exclusions=st.lists(
        st.sampled_from(["2034-12-24", "2034-12-30..2035-01-02", "* 12 * * *"]), max_size=2
    ).map(tuple),
    calendar=st.none() | st.just("de"),
    on_holiday=st.sampled_from(OnHoliday),
    quiet_hours=st.none() | st.sampled_from(["22:00-06:00", "12:00 - 24:00"]),
    starts_at=st.none() | INSTANTS,
    ends_at=st.none() | INSTANTS.map(lambda at: at + timedelta(days=3660)),
    dst_gap=st.sampled_from(Gap),
    dst_fold=st.sampled_from(Fold),
)
POLICIES = st.builds(
    PolicyChange,
    overlap=st.none() | st.sampled_from(Overlap),
    misfire=st.none() | st.sampled_from(Misfire),
    misfire_grace=st.none() | LENGTHS | st.just(timedelta()),
    catch_up=st.none() | LENGTHS,
    catch_up_order=st.none() | st.sampled_from(CatchUpOrder),
    jitter=st.none() | LENGTHS,
    spread=st.none() | LENGTHS,
    max_runs=COUNTS,
    pause_after_failures=COUNTS,
    at_most_once=st.none() | st.booleans(),
)


def _with_effect(schedule: dict[str, Any]) -> dict[str, Any]:
    """Without options that say nothing beside the others."""
    limits, policies = schedule["limits"], schedule["policies"]
    if limits.calendar is None:
        limits = replace(limits, on_holiday=OnHoliday.SKIP)
    if all(each.type == ScheduleType.ONESHOT for each in schedule["cadences"]):
        limits = replace(limits, dst_gap=Gap.NEXT, dst_fold=Fold.FIRST)
    if policies.misfire is not Misfire.RUN_ALL:
        policies = replace(policies, catch_up_order=None)
    return {**schedule, "limits": limits, "policies": policies}


SCHEDULES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "cadences": st.lists(st.sampled_from(CADENCES), min_size=1, max_size=3),
        "timezone": st.sampled_from(ZONES),
        "limits": LIMITS,
        "policies": POLICIES,
        "priority": st.none() | st.integers(-1000, 1000),
        "queue": st.none() | st.just("gpu"),
        "max_retries": st.none() | st.integers(0, 9),
        "timeout": st.none() | LENGTHS,
        "labels": st.dictionaries(
            st.sampled_from(["team", "nightly", "1"]), st.sampled_from(["", "ops", "yes", " a "])
        ),
        "input_value": TEXTS,
        "session_id": st.none() | TEXTS.filter(str.strip),
        "tweaks": st.dictionaries(
            st.just("ChatInput-echo"),
            st.dictionaries(st.just("sender_name"), TEXTS, max_size=1),
            max_size=1,
        ),
        "note": st.none() | st.none() | TEXTS,
        "until": st.none() | INSTANTS,
    }
).map(_with_effect)
