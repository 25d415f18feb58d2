"""What is wrong with a file is told with its line, all of it at once."""

from pathlib import Path
from typing import Any

import pytest

from automagik.core.manifest.problems import ManifestInvalid
from automagik.core.manifest.values import Item, Kind
from tests.core.manifest.files import manifest_of

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:{year}1225
SUMMARY:Christmas
END:VEVENT
END:VCALENDAR
"""


def item(text: str, **around: Any) -> Item:
    manifest = manifest_of(text, **around)
    assert manifest.problems == ()
    [found] = manifest.items
    return found


def schedule(*lines: str) -> str:
    return "schedules:\n  office:\n    flow: Echo\n" + "".join(f"    {line}\n" for line in lines)


def fields(*lines: str) -> dict[str, Any]:
    found = dict(item(schedule(*lines)).fields)
    del found["flow"]
    return found


def said(*texts: str, **around: Any) -> list[str]:
    problems = manifest_of(*texts, **around).problems
    return [problem.text.partition("\n")[0] for problem in problems]


@pytest.mark.parametrize(
    "lines, canonical",
    [
        (["every: 90m"], {"every": ("1h30m",)}),
        (["every: [5m, 3 days at 9:00]"], {"every": ("5m", "3 days at 09:00")}),
        (["cron: '@every 90m'"], {"every": ("1h30m",)}),
        (["at: 2030-12-01T09:00"], {"at": ("2030-12-01T09:00",)}),
        (["at: 2030-12-01T09:00+01:00"], {"at": ("2030-12-01T08:00",)}),
        (["every: 1h", "start: 2030-12-01T00:00"], {"every": ("1h",), "start": "2030-12-01"}),
        (["every: 1h", "end: 2030-12-24"], {"every": ("1h",), "end": "2030-12-24"}),
        (["every: 1h", "end: 2030-12-25T00:00Z"], {"every": ("1h",), "end": "2030-12-24"}),
        (["after: nightly", "on: failed"], {"after": "nightly", "on": "failed"}),
        (["every: 1h", "overlap: allow-all", "tweaks:", "priority: '5'"],
         {"every": ("1h",), "priority": 5}),
        (["every: 1h", "timeout: 90", "misfire-grace: 0s"],
         {"every": ("1h",), "misfire-grace": "0s", "timeout": "1m30s"}),
        (["every: 1h", "input: {question: [1, true]}"],
         {"every": ("1h",), "input": '{"question": [1, true]}'}),
        (["every: 1h", "input: 007"], {"every": ("1h",), "input": "007"}),
        (["every: 1h", "labels: {team: ops, nightly: }"],
         {"every": ("1h",), "labels": {"team": "ops", "nightly": ""}}),
        (["every: 1h", "paused: yes", "note: off"],
         {"every": ("1h",), "paused": True, "note": "off"}),
    ],
)  # fmt: skip
def test_what_is_said_becomes_canonical_and_defaults_are_left_out(
    lines: list[str], canonical: dict[str, Any]
) -> None:
    clock = {} if "after" in canonical else {"timezone": "UTC"}
    assert fields(*lines) == canonical | clock


@pytest.mark.parametrize(
    "lines, problem",
    [
        (["every: 5"], "a.yaml:4: schedules.office.every: The interval '5'"),
        (["cron: 0 9 * * 9"], "a.yaml:4: schedules.office.cron: The cron rule"),
        (["every: 5m", "cron: [0 9 * * *, 61 * * * *]"], "a.yaml:5: schedules.office.cron: "),
        (["rrule: FREQ=NEVER"], "a.yaml:4: schedules.office.rrule: "),
        (["at: 2030-13-01T09:00"], "a.yaml:4: schedules.office.at: "),
        (["at: now"], "a.yaml:4: schedules.office.at: A file names a time"),
        (["every: 5m", "timezone: Berlin/Europe"], "a.yaml:5: schedules.office.timezone: "),
        (["every: 5m", "exclude: [2030-12-24, 2030-02-30]"], "a.yaml:5: schedules.office.exclude"),
        (["every: 5m", "quiet-hours: 22-06"], "a.yaml:5: schedules.office.quiet-hours: "),
        (["every: 5m", "start: soon"], "a.yaml:5: schedules.office.start: "),
        (["every: 5m", "overlap: skipp"], "a.yaml:5: schedules.office.overlap: 'skipp' is not"),
        (["every: 5m", "catch-up: 0s"], "a.yaml:5: schedules.office.catch-up: '0s' is no dur"),
        (["every: 5m", "max-runs: 0"], "a.yaml:5: schedules.office.max-runs: takes a whole number"),
        (["every: 5m", "priority: high"], "a.yaml:5: schedules.office.priority: takes a whole"),
        (["every: 5m", "paused: maybe"], "a.yaml:5: schedules.office.paused: takes true or"),
        (["every: 5m", "note: why"], "a.yaml:5: schedules.office.note: says why it is paused"),
        (["every: 5m", "on: failed"], "a.yaml:5: schedules.office.on: says which end"),
        (["every: 5m", "after: other"], "a.yaml:5: schedules.office.after: A schedule that"),
        (["every: 5m", "tweaks: [1]"], "a.yaml:5: schedules.office.tweaks: takes fields by"),
        (["every: 5m", "labels: {'a b': c}"], "a.yaml:5: schedules.office.labels: 'a b' is no"),
        (["every: 5m", "input: {input_value: hi}"], "a.yaml:5: schedules.office.input: is what"),
        (["every: 5m", "quiet_hours: 22:00-06:00"],
         "a.yaml:5: schedules.office.quiet_hours: is no key here; did you mean quiet-hours?"),
        (["timezone: UTC"], "a.yaml:2: schedules.office: has no time rule."),
    ],
)  # fmt: skip
def test_each_wrong_value_is_told_with_its_key_and_its_line(lines: list[str], problem: str) -> None:
    [found] = said(schedule(*lines))
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("- a\n", "a.yaml:1: begins with one of: project, timezone, sources"),
        ("shedules: {}\n", "a.yaml:1: shedules: is no key here; did you mean schedules?"),
        ("schedules: [a]\n", "a.yaml:1: schedules: takes things by name"),
        ("schedules:\n  a: 5m\n", "a.yaml:2: schedules.a: takes keys with values"),
        ("schedules:\n  a: {every: 5m}\n", "a.yaml:2: schedules.a: has no flow."),
        ("schedules:\n  -a: {flow: E, every: 5m}\n", "a.yaml:2: schedules.-a: The name"),
        ("timezone: Mars\n", "a.yaml:1: timezone: 'Mars' is no IANA"),
        ("calendars:\n  de: {}\n", "a.yaml:2: calendars.de: takes either file or days"),
        ("calendars:\n  de: {file: no.ics}\n", "a.yaml:2: calendars.de.file: The file no.ics"),
        ("calendars:\n  de: {days: {25.12.: }}\n", "a.yaml:2: calendars.de.days: '25.12.' is no"),
        ("calendars:\n  1: {days: {}}\n", "a.yaml:2: calendars.1: '1' is no name"),
        ("sources:\n  prod: {max-parallel: 3}\n", "a.yaml:2: sources.prod.url: is missing"),
        ("sources:\n  prod: {url: 'ftp://x'}\n", "a.yaml:2: sources.prod.url: The source's URL"),
    ],
)
def test_what_is_around_schedules_is_checked_as_well(text: str, problem: str) -> None:
    assert said(text)[0].startswith(problem)


def test_all_that_is_wrong_in_all_files_is_told_at_once_line_by_line() -> None:
    broken = schedule("overlap: y", "every: 5", "quiet-hours: x")
    problems = ManifestInvalid(manifest_of(broken, "sources: 5\n", "b: [\n").problems).problems

    assert [str(problem.place) for problem in problems] == [
        "a.yaml:4",
        "a.yaml:5",
        "a.yaml:6",
        "b.yaml:1",
        "c.yaml:2",
    ]


def test_a_name_is_there_once_in_all_files() -> None:
    assert said(schedule("every: 5m"), schedule("every: 6m")) == [
        "b.yaml:2: schedules.office: is there twice; first in a.yaml:2"
    ]


def test_each_document_has_its_own_project_and_zone() -> None:
    manifest = manifest_of(
        "project: shop\ntimezone: Europe/Berlin\n" + schedule("every: 5m") + "---\n"
        "schedules:\n  other: {flow: Echo, every: 5m}\n"
    )

    assert [(each.name, each.project, each.fields["timezone"]) for each in manifest.items] == [
        ("office", "shop", "Europe/Berlin"),
        ("other", None, "UTC"),
    ]


def test_a_calendar_comes_from_the_file_beside_or_from_its_days(tmp_path: Path) -> None:
    (tmp_path / "holidays.ics").write_text(ICS.format(year=2030))

    by_file = item("calendars: {de: {file: holidays.ics}}", folder=tmp_path)
    by_days = item("calendars: {de: {days: {2030-12-25: Christmas}}}")

    assert by_file.fields == by_days.fields == {"days": {"2030-12-25": "Christmas"}}


def test_a_key_is_named_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("sk-canary-file\n")
    text = "sources: {{prod: {{url: 'http://localhost:7860', api-key: '{}'}}}}"
    environment = {"PROD_KEY": "sk-canary-env"}

    by_name = item(text.format("env:PROD_KEY"), environment=environment)
    by_file = item(text.format("file:key.txt"), folder=tmp_path)

    assert by_name.kind is Kind.SOURCE
    assert by_name.fields["api-key"].get_secret_value() == "sk-canary-env"
    assert by_file.fields["api-key"].get_secret_value() == "sk-canary-file"
    assert "canary" not in f"{by_name!r}{by_file!r}{by_name.fields}{by_file.fields}"


@pytest.mark.parametrize(
    "reference, problem",
    [
        ("sk-canary", "A key does not belong into a file."),
        ("sk:canary", "A key does not belong into a file."),
        ("env:NOBODY", "The variable NOBODY is not set."),
        ("env:TWO_WORDS", "What the variable TWO_WORDS holds is no API key."),
        ("file:nowhere.txt", "The file nowhere.txt cannot be read."),
        ("[sk-canary]", "takes one text"),
    ],
)
def test_a_key_that_is_written_or_not_there_is_refused_without_being_told(
    reference: str, problem: str
) -> None:
    text = f"sources:\n  prod:\n    url: http://localhost\n    api-key: {reference}\n"
    found = said(text, environment={"TWO_WORDS": "sk canary"})

    assert found == [f"a.yaml:4: sources.prod.api-key: {problem}"]
    assert "canary" not in str(ManifestInvalid(manifest_of(text).problems))
