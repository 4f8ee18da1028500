"""The only place that reads the wall clock; edges call it, rules take `now` as an argument."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment, timezone-aware, UTC."""
    return datetime.now(UTC)
