"""Logs as one JSON object a line, each with the correlation id of what it belongs to.

The Functions host ships what a worker logs, so nothing here attaches a handler to the root logger: each log call
renders its own JSON and hands it to the standard library.
"""

import logging
from typing import Any

import orjson

from shared.telemetry.context import correlation


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
    for name in ("httpx", "httpcore", "stripe", "azure", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
