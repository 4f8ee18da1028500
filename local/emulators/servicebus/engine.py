"""The embedded bus's queues as Service Bus offers them: encoded messages, and dead letters that can be locked.

A message's body in the database is the whole encoded AMQP message; its type is copied out of it for the
subscriptions. Two states are added to those of `shared/bus/embedded.py`: a dead letter may be locked.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.bus.embedded import MAX_DELIVERIES, RECEIVE_MAX, EmbeddedBus, sweep
from shared.bus.embedded_publish import Entity, publish
from shared.bus.port import Message

ACTIVE, LOCKED, SCHEDULED, DEAD, DEAD_LOCKED = 0, 1, 2, 3, 4
PEEK_MAX: Final = 250  # messages one peek shows
_SWEEP_DEAD = """
UPDATE messages SET state = 3, due_at = 0, lock_token = NULL WHERE queue = ? AND state = 4 AND due_at <= ?
"""
_SOMETHING = """
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ? AND state = ?)
    OR EXISTS (SELECT 1 FROM messages WHERE queue = ? AND state = 4)
"""
_LOCK = """
UPDATE messages SET state = :locked, due_at = :until, delivery_count = delivery_count + 1,
  lock_token = lower(hex(randomblob(16)))
WHERE seq IN (
  SELECT seq FROM messages WHERE queue = :queue AND state = :free AND due_at = 0 ORDER BY seq LIMIT :limit
)
RETURNING seq, body, lock_token, delivery_count, enqueued_at, due_at, reason, description, state
"""
_HELD = "WHERE seq = :seq AND queue = :queue AND state = :locked AND lock_token = :token AND due_at > :now"
_COMPLETE = "DELETE FROM messages "
_RENEW = "UPDATE messages SET due_at = :until "
_RELEASE = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = :free, delivery_count = delivery_count - 1
"""
_ABANDON = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = iif(delivery_count >= :most, 3, :free),
  ended_at = iif(:locked = 1, :now, ended_at), reason = coalesce(reason, :reason),
  description = coalesce(description, 'Abandoned at the last allowed delivery.')
"""
_BURY = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = 3, ended_at = :now, reason = :reason,
  description = :description
"""
_SEQUENCE_OF = "SELECT seq FROM messages WHERE queue = ? AND state = ? AND lock_token = ?"
_PEEK = """
SELECT seq, body, lock_token, delivery_count, enqueued_at, due_at, reason, description, state
FROM messages WHERE queue = :queue AND seq >= :first AND state IN (:one, :two, :three) ORDER BY seq LIMIT :limit
"""
_CANCEL = "DELETE FROM messages WHERE seq = ? AND queue = ? AND state = 2"
_SEQUENCE = "SELECT value FROM sequence"
_WAKE = "UPDATE sequence SET value = value + 1"
_EXPIRE = "UPDATE messages SET due_at = :now WHERE state IN (1, 4) AND (:queue IS NULL OR queue = :queue)"


class LockGone(Exception):
    """The lock lapsed, or the message was settled."""


class NothingThere(Exception):
    """No such scheduled message."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message to publish.

    :param id: empty where the sender gave none; then nothing is a duplicate of it
    :param data: the encoded message
    """

    id: str
    type: str
    data: bytes
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a queue.

    :param delivery_count: this delivery included, if it is one
    :param locked_until: seconds since the epoch
    """

    sequence_number: int
    data: bytes
    lock_token: str | None
    delivery_count: int
    enqueued_at: float
    locked_until: float
    reason: str
    description: str
    state: int


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery's lock."""

    queue: str
    dead: bool
    sequence_number: int
    token: str


class Engine(EmbeddedBus):
    """An `EmbeddedBus` that keeps encoded messages and locks dead letters."""

    async def accept(self, entity: str, messages: Sequence[Incoming], *, doubled: bool = False) -> list[int]:
        """Publish messages to a topic or queue, durably, all or none.

        :param doubled: put each into its queues twice, as a bus that promises at least once may
        :returns: the sequence number each was given in a queue; of a duplicate or on a topic the last one given
        """
        target = self._entities[entity]

        def work(writer: sqlite3.Connection) -> list[int]:
            now, numbers = self._timestamp(), []
            for message in messages:
                stored = Message(message.id or uuid.uuid4().hex, message.type, message.data, due_at=message.due_at)
                publish(writer, target, [stored], now)
                if doubled:
                    other_window = Entity(f"{target.name}!{uuid.uuid4().hex}", 0, target.everything, target.by_type)
                    publish(writer, other_window, [stored], now)
                numbers.append(writer.execute(_SEQUENCE).fetchone()[0])
            return numbers

        return await self._write(work)

    async def lock(self, queue: str, *, dead: bool, limit: int) -> list[Stored]:
        """Lock up to `limit` messages, oldest first."""
        settings = self._queue(queue)
        if (
            not self._something_due(queue)
            and not self._select(_SOMETHING, (queue, DEAD if dead else ACTIVE, queue))[0][0]
        ):
            return []

        def work(writer: sqlite3.Connection) -> list[Stored]:
            now = self._timestamp()
            sweep(writer, settings, now)
            writer.execute(_SWEEP_DEAD, (queue, now))
            wanted = {
                "queue": queue,
                "free": DEAD if dead else ACTIVE,
                "locked": DEAD_LOCKED if dead else LOCKED,
                "until": now + settings.lock_seconds,
                "limit": min(limit, RECEIVE_MAX),
            }
            rows = writer.execute(_LOCK, wanted).fetchall()
            return sorted((_stored(row) for row in rows), key=lambda each: each.sequence_number)

        return await self._write(work)

    async def settle_completed(self, held: Held) -> None:
        """The message is gone.

        :raises LockGone: the lock lapsed
        """
        await self._change(held, _COMPLETE)

    async def settle_abandoned(self, held: Held) -> None:
        """The message is back; after the last allowed delivery it is dead. A dead letter stays one.

        :raises LockGone: the lock lapsed
        """
        most = 2**62 if held.dead else self._queue(held.queue).max_delivery_count
        await self._change(held, _ABANDON, most=most, reason=MAX_DELIVERIES, wakes=True)

    async def settle_released(self, held: Held) -> None:
        """The message is back as if it had never been handed out.

        :raises LockGone: the lock lapsed
        """
        await self._change(held, _RELEASE, wakes=True)

    async def settle_dead(self, held: Held, *, reason: str, description: str) -> None:
        """The message is put aside.

        :raises LockGone: the lock lapsed
        """
        await self._change(held, _BURY, reason=reason, description=description)

    async def renew_lock(self, held: Held) -> float:
        """Hold the lock for another duration; until when, in seconds since the epoch.

        :raises LockGone: the lock lapsed
        """
        until = self._timestamp() + self._queue(held.queue).lock_seconds
        await self._change(held, _RENEW, until=until)
        return until

    async def held(self, queue: str, *, dead: bool, token: str) -> Held:
        """The lock with a token.

        :raises LockGone: there is none
        """
        rows = self._select(_SEQUENCE_OF, (queue, DEAD_LOCKED if dead else LOCKED, token))
        if not rows:
            raise LockGone(f"There is no lock {token}.")
        return Held(queue, dead, rows[0][0], token)

    async def peek(self, queue: str, *, dead: bool, first: int, limit: int) -> list[Stored]:
        """Messages from a number on, whatever their state, without locking them."""
        await self._put_in_order(queue)
        states = (DEAD, DEAD_LOCKED, DEAD) if dead else (ACTIVE, LOCKED, SCHEDULED)
        wanted = dict(zip(("one", "two", "three"), states, strict=True))
        bounds = {"queue": queue, "first": first, "limit": min(limit, PEEK_MAX)}
        return [_stored(row) for row in self._select(_PEEK, bounds | wanted)]

    async def cancel(self, queue: str, numbers: Sequence[int]) -> None:
        """Forget scheduled messages, all or none.

        :raises NothingThere: one is not scheduled (any more)
        """

        def work(writer: sqlite3.Connection) -> None:
            for number in numbers:
                if writer.execute(_CANCEL, (number, queue)).rowcount == 0:
                    raise NothingThere(f"There is no scheduled message {number}.")

        await self._write(work)

    async def expire_locks(self, queue: str | None) -> int:
        """Let every lock lapse now, of one queue or of all; how many."""

        def work(writer: sqlite3.Connection) -> int:
            number = writer.execute(_EXPIRE, {"now": self._timestamp(), "queue": queue}).rowcount
            writer.execute(_WAKE)
            return number

        return await self._write(work)

    async def _change(self, held: Held, sql: str, *, wakes: bool = False, **values: str | float) -> None:
        lock = {
            "seq": held.sequence_number,
            "queue": held.queue,
            "token": held.token,
            "locked": DEAD_LOCKED if held.dead else LOCKED,
            "free": DEAD if held.dead else ACTIVE,
        }

        def work(writer: sqlite3.Connection) -> None:
            if writer.execute(sql + _HELD, {**lock, **values, "now": self._timestamp()}).rowcount == 0:
                raise LockGone(f"The lock on message {held.sequence_number} of {held.queue!r} is lost.")
            if wakes:
                writer.execute(_WAKE)

        await self._write(work)


def _stored(row: Sequence[object]) -> Stored:
    seq, body, token, deliveries, enqueued_at, due_at, reason, description, state = row
    assert isinstance(seq, int)
    assert isinstance(body, bytes)
    assert isinstance(deliveries, int)
    assert isinstance(enqueued_at, int | float)
    assert isinstance(due_at, int | float)
    assert isinstance(state, int)
    token = token if isinstance(token, str) else None
    return Stored(seq, body, token, deliveries, enqueued_at, due_at, str(reason or ""), str(description or ""), state)
