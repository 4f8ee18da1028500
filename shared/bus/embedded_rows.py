"""Rows of the embedded bus as messages, and its timestamps as moments."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from shared.bus.port import Message


def message_of(row: Sequence[object]) -> Message:
    """The message in a row that begins with id, type, body, correlation_id, scheduled_for, properties."""
    id_, type_, body, correlation_id, scheduled_for, properties = row[:6]
    assert isinstance(id_, str)
    assert isinstance(type_, str)
    assert isinstance(body, bytes)
    assert isinstance(properties, str)
    # SQLite's RETURNING gives a REAL without a fraction as an integer.
    due = moment_of(scheduled_for) if isinstance(scheduled_for, int | float) else None
    return Message(id_, type_, body, str(correlation_id), due, orjson.loads(properties))


def moment_of(timestamp: float) -> datetime:
    """A moment from seconds since the epoch."""
    return datetime.fromtimestamp(timestamp, UTC)
