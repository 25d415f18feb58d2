"""Which metrics and labels an expression of Prometheus names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from automagik.core.metrics.families import COUNTED, PRESENT, Family, Kind

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
RULES_TEST = DEPLOY / "prometheus" / "rules_test.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
OF_PROMETHEUS = {"instance", "job"}
"""Labels that it adds at a scrape."""

_SERIES = re.compile(r"\b(?P<name>automagik_\w+)(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r'(?P<label>\w+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\((?P<labels>[^)]*)\)")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+?)(?:,\s*(?P<label>\w+))?\)$")
_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h"}


def exposed() -> dict[str, set[str]]:
    """The labels of each series by its name."""
    found: dict[str, set[str]] = {}
    for family in (*PRESENT, *COUNTED):
        found |= _series(family)
    return found


def _series(family: Family) -> dict[str, set[str]]:
    labels = {*family.labels, *OF_PROMETHEUS}
    if family.kind is not Kind.HISTOGRAM:
        return {family.name: labels}
    parts = {f"{family.name}_{part}": labels for part in ("sum", "count")}
    return {**parts, f"{family.name}_bucket": labels | {"le"}}


def unknown(expression: str) -> set[str]:
    """Names of metrics, and of labels that the metrics they stand with do not have."""
    known = exposed()
    wrong, of_all = set(), set()
    for series in _SERIES.finditer(expression):
        labels = known.get(series["name"])
        if labels is None:
            wrong.add(series["name"])
            continue
        of_all |= labels
        matched = _MATCHER.finditer(series["matchers"] or "")
        wrong |= {each["label"] for each in matched} - labels
    for grouping in _GROUPING.finditer(expression):
        wrong |= {label.strip() for label in grouping["labels"].split(",")} - of_all
    return wrong


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panel_expressions(dashboard: Path, **variables: str) -> Iterator[str]:
    """As Prometheus is asked, with these values for the variables of the dashboard."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel["targets"]:
            yield _filled(target["expr"], variables)


def variable_queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Expressions that the variables take their values from, each with the label they take."""
    for variable in json.loads(dashboard.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.match(variable["query"]["query"])
            assert found, variable
            yield found["series"], found["label"]


def _filled(expression: str, variables: dict[str, str]) -> str:
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    for name, value in variables.items():
        expression = expression.replace(f"${name}", value)
    return expression
