"""What a replay or a discard is going to do, decided before anything is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

import orjson
from pydantic import ConfigDict

from shared.bus.port import DeadLetter, Replay
from shared.kernel.clock import Moment
from shared.kernel.model import Model

REPLAYS_PER_SECOND: Final = 10
REPLAYS_PER_SECOND_MAX: Final = 50
DISCARDED_BYTES_MAX: Final = 1024 * 1024  # of letters in one call, as JSON: one document of the audit trail keeps them
# By the first two shared/web/triggers.py counts a copy's patience; the others are Service Bus' notes on dead letters.
_OF_ITS_LAST_LIFE: Final = frozenset({"postponed", "original_id", "DeadLetterReason", "DeadLetterErrorDescription"})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters of a queue: those with these numbers, or those with this reason and type (None: any)."""

    sequence_numbers: tuple[int, ...] = ()
    reason: str | None = None
    type_name: str | None = None


class ChosenLetter(Model):
    """A letter as the audit trail remembers it.

    :param copy_id: the replayed copy's message id
    :param due_at: when the copy is to be delivered
    :param body: of a discarded letter, which is nowhere else any more
    """

    model_config = ConfigDict(frozen=True)

    sequence_number: int
    message_id: str
    type: str
    reason: str
    correlation_id: str
    copy_id: str | None = None
    due_at: Moment | None = None
    body: str | None = None
    properties: dict[str, str | int] | None = None

    @classmethod
    def of(cls, letter: DeadLetter, **more: Any) -> Self:
        """A letter, and what is to become of it."""
        return cls(
            sequence_number=letter.sequence_number,
            message_id=letter.message.id,
            type=letter.message.type,
            reason=letter.reason,
            correlation_id=letter.message.correlation_id,
            **more,
        )

    def written(self) -> dict[str, Any]:
        """As the audit trail keeps it."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one call is to deal with.

    :param letters: those it takes
    :param missing: numbers that were asked for and are no dead letters
    :param more: whether the choice fits more letters than one call takes
    """

    letters: Sequence[ChosenLetter]
    missing: Sequence[int]
    more: bool


def to_replay(letters: Iterable[DeadLetter], *, audit_id: str, per_second: int, now: datetime) -> list[ChosenLetter]:
    """Letters to replay one after the other, so that what failed once does not come back as a flood.

    :param audit_id: the copies' ids follow from it, so that replaying again sends nothing twice
    """
    return [
        ChosenLetter.of(
            letter,
            copy_id=f"replay:{audit_id}:{letter.sequence_number}",
            due_at=now + timedelta(seconds=place / per_second),
        )
        for place, letter in enumerate(letters)
    ]


def to_discard(letters: Sequence[DeadLetter]) -> list[ChosenLetter]:
    """Letters to discard, whole, as many as one audit document can keep; at least one.

    A letter's size is that of its JSON: a byte of the body takes up to six there, so that even the largest message
    (256 KiB) fits into a commit (2 MiB) alone.
    """
    kept: list[ChosenLetter] = []
    size = 0
    for letter in letters:
        chosen = ChosenLetter.of(letter, body=body_of(letter), properties=dict(letter.message.properties))
        size += len(orjson.dumps(chosen.written()))
        if kept and size > DISCARDED_BYTES_MAX:
            break
        kept.append(chosen)
    return kept


def behind(
    intended: Iterable[ChosenLetter], delay: timedelta, *, numbers: Iterable[int] | None = None
) -> list[ChosenLetter]:
    """What was intended, `delay` later: copies that all were due long ago would come back as a flood.

    :param numbers: only these letters are put off; None: all
    """
    late = None if numbers is None else set(numbers)
    return [
        each.model_copy(update={"due_at": each.due_at + delay})
        if each.due_at is not None and (late is None or each.sequence_number in late)
        else each
        for each in intended
    ]


def replays_of(chosen: Iterable[ChosenLetter], there: Mapping[int, DeadLetter], *, audit_id: str) -> list[Replay]:
    """What to ask of the bus, for the letters that are still there.

    A copy begins a life of its own: with the postponements of its last one it would be given up at the first trouble,
    and its own postponed copies would have the ids of old ones and be taken for duplicates.
    """
    found = []
    for each in chosen:
        if each.sequence_number not in there or each.copy_id is None:
            continue
        kept = {
            name: value
            for name, value in there[each.sequence_number].message.properties.items()
            if name not in _OF_ITS_LAST_LIFE
        }
        properties = {**kept, "replay": audit_id, "replay_of": each.message_id}
        found.append(Replay(each.sequence_number, each.copy_id, properties, each.due_at))
    return found


def body_of(letter: DeadLetter) -> str:
    """The body as text; bytes that are not UTF-8 are written as escapes, since that may be why it is dead."""
    return letter.message.body.decode(errors="backslashreplace")
