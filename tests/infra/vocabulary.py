"""What our telemetry can say, read from the code that says it, to hold queries against."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from functions.insights import bus as insights_bus
from shared.telemetry import FAILED, OK, POSTPONED, REFUSED
from shared.telemetry.names import CHARGE_LABELS, CHARGES, COUNTERS, GAUGES, HISTOGRAMS
from shared.topology import topology
from tests.infra.kusto_expressions import Pipeline

ROOT: Final = Path(__file__).parents[2]
# Of requests: what `Invocation` adds to each, then of HTTP, of queues, of change feeds, and of an adopted trace.
REQUEST_PROPERTIES: Final = frozenset({
    "outcome", "correlation_id", "error", "caller", "queue", "container", "documents", "began_in",
})  # fmt: skip
EVENT_PROPERTIES: Final = frozenset({"currency", *insights_bus._TOLD})
MEASUREMENTS: Final = frozenset({"quantity", "amount_minor"})
PARTS_OF_NAMES: Final = frozenset({" /api/", "/checkout"})  # of requests, which queries look for


@dataclass(frozen=True)
class Vocabulary:
    """Names in our telemetry.

    :param metrics: by name, with the labels of each
    :param functions: of queues, feeds and timers; those of HTTP are named by their routes
    :param logged: the events of log lines
    """

    metrics: Mapping[str, frozenset[str]]
    functions: frozenset[str]
    logged: frozenset[str]
    events: frozenset[str]


@cache
def vocabulary() -> Vocabulary:
    """What there is."""
    metrics = {name: frozenset[str]() for name in COUNTERS}
    metrics |= {name: frozenset({label}) for name, (label, _) in GAUGES.items()}
    metrics |= {name: frozenset(labels) for name, (labels, _) in HISTOGRAMS.items()}
    # To Application Insights calls of the store are told as the number of their request units.
    metrics |= {name: frozenset(CHARGE_LABELS) for name in CHARGES if name != "store_calls"}
    [insights] = [each for each in topology().subscriptions if each.forward_to == insights_bus.QUEUE]
    return Vocabulary(metrics, frozenset(_triggered()), frozenset(_logged()), frozenset(insights.types))


def _triggered() -> Iterator[str]:
    for path in (ROOT / "functions").rglob("*.py"):
        if path.stem in {"bus", "feed", "timers"}:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.AsyncFunctionDef):
                    yield node.name


def _logged() -> Iterator[str]:
    for folder in ("functions", "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="_log"), attr="info" | "warning" | "error"),
                        args=[ast.Constant(value=str(name)), *_],
                    ):
                        yield name


def unknown(asked: Pipeline, known: Vocabulary) -> Sequence[str]:
    """What a pipeline speaks of that our telemetry never says."""
    return [*_words(asked, known), *_keys(asked, known)]


def _words(asked: Pipeline, known: Vocabulary) -> Iterator[str]:
    may_be: Mapping[tuple[str, ...], frozenset[str]] = {
        ("AppMetrics", "Name"): frozenset(known.metrics),
        ("AppMetrics", "Properties", "function"): known.functions,
        ("AppMetrics", "Properties", "outcome"): frozenset({OK, REFUSED, POSTPONED, FAILED}),
        ("AppRequests", "Properties", "outcome"): frozenset({OK, REFUSED, POSTPONED, FAILED}),
        ("AppRequests", "Name"): known.functions | PARTS_OF_NAMES,
        ("AppRequests", "AppRoleName"): frozenset({"azure-api.net"}),  # as API Management calls itself
        ("AppEvents", "Name"): known.events,
        ("AppTraces", "Message", "event"): known.logged,
        ("_LogOperation", "Category"): frozenset({"Ingestion"}),
        ("_LogOperation", "Detail"): frozenset({"OverQuota"}),
    }
    for origin, word in sorted(asked.compared):
        if word not in may_be.get(origin, frozenset()):
            yield f"{'.'.join(origin)} is never {word!r}"


def _keys(asked: Pipeline, known: Vocabulary) -> Iterator[str]:
    names = {word for origin, word in asked.compared if origin == ("AppMetrics", "Name")}
    labels = [known.metrics.get(name, frozenset()) for name in names]
    may_be: Mapping[tuple[str, ...], frozenset[str]] = {
        ("AppMetrics", "Properties"): frozenset.intersection(*labels) if labels else frozenset(),
        ("AppRequests", "Properties"): REQUEST_PROPERTIES,
        ("AppEvents", "Properties"): EVENT_PROPERTIES,
        ("AppEvents", "Measurements"): MEASUREMENTS,
        ("AppTraces", "Message"): frozenset({"event", "correlation_id"}),
    }
    for table, column, key in sorted(origin for origin in asked.read if len(origin) == 3):
        if key not in may_be.get((table, column), frozenset()):
            yield f"{table}.{column} has no {key!r}"
    if "AppMetrics" in asked.tables and not names:
        yield "AppMetrics is asked for no metric by its name"
