"""Rules and dashboards ask for what is really exposed, and Prometheus' own tools accept them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from automagik.cli.command_tree import command_tree, walk
from tests.deploy.promql import (
    DASHBOARDS,
    RULES,
    RULES_TEST,
    alerts,
    exposed,
    panel_expressions,
    unknown,
    variable_queries,
)

RUNBOOKS = RULES.parents[2] / "docs" / "runbooks.md"
_COMMAND = re.compile(r"`automagik ([a-z]+(?: [a-z]+)?)")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_names_what_is_exposed(alert: dict[str, str]) -> None:
    assert unknown(alert["expr"]) == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_panel_names_what_is_exposed(dashboard: Path) -> None:
    expressions = list(panel_expressions(dashboard))

    assert len(expressions) > 5
    assert {each: wrong for each in expressions if (wrong := unknown(each))} == {}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_variable_takes_its_values_from_a_label_that_is_there(dashboard: Path) -> None:
    for series, label in variable_queries(dashboard):
        assert unknown(series) == set()
        assert label in exposed()[series.partition("{")[0]]


def test_what_is_not_exposed_is_found() -> None:
    wrong = 'sum by (source, color) (rate(automagik_up{x="1"}[5m])) + automagik_nothing_total'

    assert unknown(wrong) == {"x", "source", "color", "automagik_nothing_total"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: str(path.stem))
def test_panels_stand_side_by_side(dashboard: Path) -> None:
    panels = json.loads(dashboard.read_text())["panels"]
    taken = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    titles = re.findall(r"^## (.+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)
    anchors = {f"docs/runbooks.md#{title.lower().replace(' ', '-')}" for title in titles}

    assert {alert["annotations"]["runbook_url"] for alert in alerts()} == anchors


def test_runbooks_name_commands_that_exist() -> None:
    known = {each.path.removeprefix("automagik ") for each in walk(command_tree())}
    named = set(_COMMAND.findall(RUNBOOKS.read_text()))

    assert {name for name in named if name not in known and name.split()[0] not in known} == set()
    assert len(named) > 10


def test_each_alert_is_made_to_fire() -> None:
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    fired = {
        each["alertname"]
        for test in tests
        for each in test["alert_rule_test"]
        if each["exp_alerts"]
    }

    assert fired == {alert["alert"] for alert in alerts()}


def test_promtool_finds_each_alert_fire_when_it_must(promtool: str) -> None:
    tested = subprocess.run(
        [promtool, "test", "rules", str(RULES_TEST)], capture_output=True, text=True, check=False
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_promtool_accepts_the_configuration(promtool: str) -> None:
    checked = subprocess.run(
        [promtool, "check", "config", str(RULES.with_name("prometheus.yml"))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_accepts_each_expression_of_the_dashboards(promtool: str, tmp_path: Path) -> None:
    expressions = {each for path in DASHBOARDS for each in panel_expressions(path)}
    records = [
        {"record": f"panel:{number}", "expr": each}
        for number, each in enumerate(sorted(expressions))
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", "--lint=none", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
