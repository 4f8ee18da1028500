"""Time: the one place that reads the wall clock, and the one way moments are written.

Only edges call `utc_now`; rules take `now` as an argument. Moments in documents are compared as text by the store, so
they are written in one form: UTC, microseconds, `Z`.
"""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError


def utc_now() -> datetime:
    """The present moment, timezone-aware, UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """A moment as text that sorts like time, e.g. `2026-11-21T20:00:00.000000Z`.

    :param moment: timezone-aware
    """
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # 0001-01-01T00:00+14:00 lies before the calendar begins
        allowed = {"expected": "a moment between the years 1 and 9999, in UTC"}
        raise PydanticCustomError("calendar", "lies outside the calendar", allowed) from error


type Moment = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(stamp, return_type=str, when_used="json"),
]
"""A timezone-aware moment; read in any offset, kept in UTC, written by `stamp`."""

type StampedMoment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A moment as `stamp` wrote it, handed on as it is: for lists of what we stored ourselves. Reading each moment and
writing it again was a third of a list's work."""
