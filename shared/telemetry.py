"""Logs as one JSON object a line, counters, and the correlation id that ties a person's complaint to both.

The Functions host ships what a worker logs, so nothing here attaches a handler to the root logger: each log call
renders its own JSON and hands it to the standard library.
"""

import logging
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import orjson

correlation: Final[ContextVar[str]] = ContextVar("correlation", default="")
use_case: Final[ContextVar[str]] = ContextVar("use_case", default="none")
_counters: Final[Counter[str]] = Counter()
_gauges: Final[dict[str, int]] = {}


@dataclass(slots=True)
class Charge:
    """What a use case has cost at the store, since this process began."""

    calls: int = 0
    request_units: float = 0.0


_charges: Final[dict[str, Charge]] = {}


class Log:
    """A named source of structured log lines.

    :param name: the part of the system, e.g. `sales`
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"tessera.{name}")

    def info(self, event: str, **fields: object) -> None:
        """Something worth knowing happened."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something to look at, not yet lost or wrong."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: object) -> None:
        """Something is wrong; with `error`, its traceback is logged too."""
        self._emit(logging.ERROR, event, fields, error)

    def _emit(self, level: int, event: str, fields: dict[str, Any], error: BaseException | None = None) -> None:
        if not self._logger.isEnabledFor(level):
            return
        line = {"event": event, "correlation_id": correlation.get(), **fields}
        self._logger.log(level, orjson.dumps(line, default=str).decode(), exc_info=error)


def quieten_libraries() -> None:
    """Keep libraries that log every request from drowning our own lines."""
    for name in ("httpx", "httpcore", "stripe"):
        logging.getLogger(name).setLevel(logging.WARNING)


def count(name: str, by: int = 1) -> None:
    """Add to a counter of this process; names end in what they count (`inventory_violations`)."""
    _counters[name] += by


def counters() -> dict[str, int]:
    """All counters of this process, by name."""
    return dict(_counters)


def gauge(name: str, value: int) -> None:
    """Keep the newest value of what goes up and down; the part after a dot says of what (`dead_letters.stock`)."""
    _gauges[name] = value


def gauges() -> dict[str, int]:
    """The newest value of every gauge, as this process knows it, by name."""
    return dict(_gauges)


def charge(request_units: float) -> None:
    """Add one call of the store to what the present `use_case` costs.

    :param request_units: what the store charged for it, the tries of it included
    """
    total = _charges.setdefault(use_case.get(), Charge())
    total.calls += 1
    total.request_units += request_units


def charges() -> dict[str, Charge]:
    """The running total of every use case of this process, by its name."""
    return {name: Charge(total.calls, total.request_units) for name, total in _charges.items()}
