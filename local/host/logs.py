"""Structured logs: one JSON object a line on stderr, stamped with the invocation it belongs to."""

import logging
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson


@dataclass(frozen=True, slots=True)
class Invocation:
    """The function call a task is working for; every log line of the task carries it."""

    id: str
    function: str
    correlation_id: str = ""


current_invocation: ContextVar[Invocation | None] = ContextVar("current_invocation", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; `extra` members become members of the object."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **_said(record.getMessage()),
        }
        invocation = current_invocation.get()
        if invocation is not None:
            entry["function"] = invocation.function
            entry["invocation_id"] = invocation.id
            if invocation.correlation_id:
                entry["correlation_id"] = invocation.correlation_id
        entry.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _said(message: str) -> dict[str, Any]:
    """A message that is a JSON object itself (`shared/telemetry.py`) becomes members of the line."""
    if message.startswith("{"):
        try:
            found = orjson.loads(message)
        except orjson.JSONDecodeError:
            return {"message": message}
        if isinstance(found, dict):
            return {"message": found.get("event", ""), **found}
    return {"message": message}


def configure(level: int, stream: TextIO | None = None) -> None:
    """Send every record of `level` and above to `stream` (default: stderr), as JSON lines.

    On Azure the worker's host collects the root logger's records; here this handler stands in its place.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("local.host").setLevel(min(level, logging.INFO))  # readiness is always told
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # The runtime library tells what the host tells itself, with ids, and prints sys.path on a failed import.
    logging.getLogger("azure.functions").setLevel(logging.CRITICAL)
