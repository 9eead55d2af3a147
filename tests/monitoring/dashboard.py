"""The dashboard as Grafana would ask for it: its panels, and what Prometheus answers to their queries."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

# What Grafana makes of its variables: all relays, and four scrapes of a second each, with one for their jitter.
VARIABLES = {"$instance": ".*", "$__rate_interval": "5s"}
STEP_SECONDS = 1


@dataclass
class Series:
    name: str
    # Seconds since 1970, and the value: no number where there was none, as of the quantile of nothing.
    points: list


@dataclass
class Query:
    expression: str
    legend: str
    series: list = field(default_factory=list)

    def values(self):
        return [value for series in self.series for _, value in series.points if math.isfinite(value)]


@dataclass
class Panel:
    title: str
    # Of the grid, 24 columns wide.
    x: int
    y: int
    width: int
    height: int
    # None = it is the heading of a row.
    unit: str | None
    queries: list


def read(path):
    """The panels, in their order."""
    with open(path, encoding="utf-8") as file:
        found = json.load(file)["panels"]
    panels = []
    for panel in found:
        place = panel["gridPos"]
        queries = [Query(target["expr"], target["legendFormat"]) for target in panel.get("targets", [])]
        unit = None
        if panel["type"] != "row":
            unit = panel["fieldConfig"]["defaults"]["unit"]
            if not queries:
                raise ValueError(f"{panel['title']} asks for nothing")
        panels.append(Panel(panel["title"], place["x"], place["y"], place["w"], place["h"], unit, queries))
    return panels


def ask(prometheus, panels, start, end):
    """Has Prometheus answer every query; returns what it has to complain about."""
    complaints = []
    for panel in panels:
        for query in panel.queries:
            try:
                query.series = answer(prometheus, query, start, end)
            except urllib.error.HTTPError as error:
                complaints.append(f"{panel.title}: {query.expression}: {error.read().decode()}")
    return complaints


def answer(prometheus, query, start, end):
    expression = query.expression
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    asked = {"query": expression, "start": start, "end": end, "step": STEP_SECONDS}
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(asked)}") as response:
        said = json.load(response)
    series = []
    steps = [start + step * STEP_SECONDS for step in range(int((end - start) / STEP_SECONDS) + 1)]
    for found in said["data"]["result"]:
        name = query.legend
        for label, value in found["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        values = {float(at): float(value) for at, value in found["values"]}
        series.append(Series(name, [(at, values.get(at, math.nan)) for at in steps]))
    return series


def judge(panels, may_be_empty, may_be_zero):
    """What is wrong with the answers: nothing to draw, lines that cannot be told apart, or nothing but zero. What may be so is
    named by the metric."""
    complaints = []
    for panel in panels:
        for query in panel.queries:
            where = f"{panel.title}: {query.expression}"
            values = query.values()
            if not values:
                if not names(query, may_be_empty):
                    complaints.append(f"{where}: no value")
            elif not any(values) and not names(query, may_be_zero):
                complaints.append(f"{where}: nothing but zero")
        shown = [series.name for query in panel.queries for series in query.series]
        complaints += [f"{panel.title}: two lines are called {name}" for name in sorted(set(shown)) if shown.count(name) > 1]
        complaints += [f"{panel.title}: no such label: {name}" for name in shown if "{{" in name]
    return complaints


def names(query, metrics):
    return any(metric in query.expression for metric in metrics)
