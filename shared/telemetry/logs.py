"""Logs as one JSON object a line, each with the correlation id of what it belongs to.

The Functions host ships what a worker logs, so nothing here attaches a handler to the root logger: each log call
renders its own JSON and hands it to the standard library. What it ships arrives in Application Insights, so every text
passes the scrubber, and a traceback is a text here: of an exception that is handed on, each handler would render the
words anew.
"""

import logging
import traceback
from collections.abc import Iterator
from typing import Any, Final

import orjson

from shared.telemetry.context import correlation
from shared.telemetry.scrubbing import scrubbed_text, scrubbed_texts

EXCEPTIONS_MAX: Final = 5  # of one traceback: the exception and what led to it
FRAMES_MAX: Final = 20  # of each, the innermost


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
        """Something is wrong; with `error`, its traceback is logged too, scrubbed."""
        self._emit(logging.ERROR, event, fields, error)

    def _emit(self, level: int, event: str, fields: dict[str, Any], error: BaseException | None = None) -> None:
        if not self._logger.isEnabledFor(level):
            return
        line = {"event": event, "correlation_id": correlation.get(), **fields}
        if error is not None:
            line["traceback"] = "\n".join(_told(error))
        told = {name: value if name == "traceback" else scrubbed_texts(value) for name, value in line.items()}
        self._logger.log(level, orjson.dumps(told).decode())


def _told(error: BaseException) -> Iterator[str]:
    """Where an exception was raised and what led to it, outermost first: class, scrubbed words, frames."""
    found: BaseException | None = error
    for _ in range(EXCEPTIONS_MAX):
        if found is None:
            return
        yield scrubbed_text("".join(traceback.format_exception_only(found)).strip())
        yield "".join(traceback.format_tb(found.__traceback__, limit=-FRAMES_MAX)).rstrip()
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def quieten_libraries() -> None:
    """Keep libraries that log every request from drowning our own lines."""
    for name in ("httpx", "httpcore", "stripe", "azure", "urllib3", "msal"):
        logging.getLogger(name).setLevel(logging.WARNING)
