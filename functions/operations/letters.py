"""What a replay or a discard is going to do, decided before anything is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict

from shared.bus.port import DeadLetter, Replay
from shared.kernel.clock import Moment

REPLAYS_PER_SECOND: Final = 10
REPLAYS_PER_SECOND_MAX: Final = 50
DISCARDED_BYTES_MAX: Final = 1024 * 1024  # of bodies in one call: they are kept in one document of the audit trail
# By the first two shared/web/triggers.py counts a copy's patience; the others are Service Bus' notes on dead letters.
_OF_ITS_LAST_LIFE: Final = frozenset({"postponed", "original_id", "DeadLetterReason", "DeadLetterErrorDescription"})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters of a queue: those with these numbers, or those with this reason and type (None: any)."""

    sequence_numbers: tuple[int, ...] = ()
    reason: str | None = None
    type_name: str | None = None


class ChosenLetter(BaseModel):
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
    """Letters to discard, whole, as many as one audit document can keep; at least one."""
    kept: list[ChosenLetter] = []
    size = 0
    for letter in letters:
        size += len(letter.message.body)
        if kept and size > DISCARDED_BYTES_MAX:
            break
        kept.append(ChosenLetter.of(letter, body=body_of(letter), properties=dict(letter.message.properties)))
    return kept


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
