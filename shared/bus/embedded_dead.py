"""Dead letters of the embedded bus: a replay moves a letter in one transaction, so nothing is lost or sent twice."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from shared.bus.embedded_publish import Entity, check, publish
from shared.bus.embedded_rows import message_of, moment_of
from shared.bus.port import DEAD_LETTERS_MAX, DeadLetter, DeadLetterPage, Message, Replay

COUNT_DEAD = (
    "SELECT queue, count(*) FROM messages WHERE queue IN (SELECT value FROM json_each(?)) AND state = 3 GROUP BY 1"
)
PEEK = """
SELECT id, type, body, correlation_id, scheduled_for, properties, reason, description, delivery_count, seq, ended_at
FROM messages
WHERE queue = :queue AND state = 3 AND due_at = 0 AND seq > :after
  AND (:reason IS NULL OR reason = :reason) AND (:type IS NULL OR type = :type)
ORDER BY seq LIMIT :limit
"""
_TAKE = """
DELETE FROM messages WHERE seq = ? AND queue = ? AND state = 3
RETURNING id, type, body, correlation_id, scheduled_for, properties
"""


def refuse_more_than_allowed(number: int) -> None:
    """Nothing, for 0 to `DEAD_LETTERS_MAX`.

    :raises ValueError: more
    """
    if number > DEAD_LETTERS_MAX:
        raise ValueError(f"One call takes at most {DEAD_LETTERS_MAX} dead letters, not {number}.")


def page_of(queue: str, rows: Sequence[tuple[Any, ...]], limit: int) -> DeadLetterPage:
    """The page in the rows of `PEEK`, which was asked for one more than `limit`."""
    letters = [
        DeadLetter(message_of(row), queue, row[6], row[7], row[8], row[9], moment_of(row[10])) for row in rows[:limit]
    ]
    return DeadLetterPage(letters, letters[-1].sequence_number if len(rows) > limit else None)


def replay(
    writer: sqlite3.Connection, entities: Mapping[str, Entity], queue: str, replays: Sequence[Replay], now: float
) -> list[int]:
    """Put a copy of each letter into its queue and remove the letter, within the writer's transaction.

    :param now: seconds since the epoch
    :raises MessageRefused: a copy can never be accepted
    """
    taken, copies = [], []
    for wanted in replays:
        for row in writer.execute(_TAKE, (wanted.sequence_number, queue)).fetchall():
            dead = message_of(row)
            copies.append(
                Message(wanted.message_id, dead.type, dead.body, dead.correlation_id, wanted.due_at, wanted.properties)
            )
            taken.append(wanted.sequence_number)
    publish(writer, check(entities, queue, copies), copies, now)
    return taken


def discard(writer: sqlite3.Connection, queue: str, sequence_numbers: Sequence[int]) -> list[int]:
    """Remove letters, within the writer's transaction; those that were there."""
    return [number for number in sequence_numbers if writer.execute(_TAKE, (number, queue)).fetchall()]
