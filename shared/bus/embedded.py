"""The bus on one SQLite file: what Service Bus does for us, durable, for any number of processes on one machine.

A message waits as READY, LOCKED (handed out until `due_at`), SCHEDULED (not before `due_at`) or DEAD, in one row; its
rowid is its sequence number. One index (queue, state, due_at) finds the next of each kind, however long the history.
"""

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from shared.bus import embedded_dead
from shared.bus.embedded_file import EmbeddedBusFile
from shared.bus.embedded_publish import Entity, check, publish
from shared.bus.embedded_rows import message_of, moment_of
from shared.bus.port import DEAD_LETTERS_MAX, DeadLetterPage, Delivery, LockLost, Message, Replay
from shared.kernel.clock import utc_now
from shared.sqlite.turnstile import Turn
from shared.telemetry import sent_to
from shared.topology import Queue, Topology

RECEIVE_MAX = 256  # messages one call may lock, and lapsed or due ones it puts in order on the way
MAX_DELIVERIES = "MaxDeliveryCountExceeded"

_SOMETHING_DUE = """
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND state = 1 AND due_at <= :now)
    OR EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND state = 2 AND due_at <= :now)
"""
_SOMETHING_READY = "SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ? AND state = 0)"
_LAPSED = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = iif(delivery_count >= :most, 3, 0),
  ended_at = :now, reason = :reason, description = 'The lock lapsed at the last allowed delivery.'
WHERE seq IN (
  SELECT seq FROM messages WHERE queue = :queue AND state = 1 AND due_at <= :now ORDER BY due_at LIMIT :limit
)
"""
_DUE = "SELECT seq, due_at FROM messages WHERE queue = ? AND state = 2 AND due_at <= ? ORDER BY due_at, seq LIMIT ?"
_ENQUEUE_DUE = "UPDATE messages SET seq = ?, state = 0, enqueued_at = due_at, due_at = 0 WHERE seq = ?"
_NUMBERS = "UPDATE sequence SET value = value + ? RETURNING value"
_LOCK = """
UPDATE messages SET state = 1, due_at = :until, delivery_count = delivery_count + 1, lock_token = :token || seq
WHERE seq IN (SELECT seq FROM messages WHERE queue = :queue AND state = 0 AND due_at = 0 ORDER BY seq LIMIT :limit)
RETURNING id, type, body, correlation_id, scheduled_for, properties, lock_token, delivery_count, seq, enqueued_at
"""
_COMPLETE = "DELETE FROM messages WHERE seq = ? AND state = 1 AND lock_token = ? AND due_at > ?"
_RENEW = "UPDATE messages SET due_at = ? WHERE seq = ? AND state = 1 AND lock_token = ? AND due_at > ?"
_ABANDON = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = iif(delivery_count >= ?, 3, 0),
  ended_at = ?, reason = ?, description = 'Abandoned at the last allowed delivery.'
WHERE seq = ? AND state = 1 AND lock_token = ? AND due_at > ?
"""
_BURY = """
UPDATE messages SET due_at = 0, lock_token = NULL, state = 3, ended_at = ?, reason = ?, description = ?
WHERE seq = ? AND state = 1 AND lock_token = ? AND due_at > ?
"""
_COUNTS = "SELECT state, count(*) FROM messages WHERE queue = ? GROUP BY state"


class EmbeddedBus(EmbeddedBusFile):
    """A `Bus`, `Receiver` and `DeadLetters` on one SQLite file; `at` gives the process its one instance per file."""

    _instances: ClassVar[dict[Path, "EmbeddedBus"]] = {}

    def __init__(
        self, path: Path, topology: Topology, *, now: Callable[[], datetime] = utc_now, turn: Turn | None = None
    ) -> None:
        """Open the file, creating it if need be.

        :param topology: topic, queues and subscriptions
        :param now: the clock for locks, schedules and windows
        :param turn: who may write among processes; default: a fair turnstile beside the file
        """
        super().__init__(path, topology, now=now, turn=turn)
        self._entities = Entity.all_of(topology)
        self._queues = {queue.name: queue for queue in topology.queues}

    @classmethod
    def at(cls, path: Path, topology: Topology) -> "EmbeddedBus":
        """The process's one bus on `path`, so that functions and host share one writer and its wake-ups."""
        resolved = path.resolve()
        found = cls._instances.get(resolved)
        if found is None or found.commits.closed:
            found = cls._instances[resolved] = cls(resolved, topology)
        return found

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """Send to a topic or a queue, durably, all or none; duplicates within the entity's window are dropped.

        :raises MessageRefused: one can never be accepted; none was sent
        :raises BusUnavailable: no answer
        """
        target = check(self._entities, entity, messages)
        if messages:
            await self._write(lambda writer: publish(writer, target, messages, self._timestamp()))
            sent_to(entity, len(messages))

    async def receive(self, queue: str, *, messages_max: int) -> Sequence[Delivery]:
        """Lock up to `messages_max` (1–256) due messages, oldest first; empty when there are none.

        :raises ValueError: no such queue, or an impossible number of messages
        :raises BusUnavailable: no answer
        """
        settings = self._queue(queue)
        if not 1 <= messages_max <= RECEIVE_MAX:
            raise ValueError(f"One call receives 1 to {RECEIVE_MAX} messages, not {messages_max}.")
        if not self._something_due(queue) and not self._select(_SOMETHING_READY, (queue,))[0][0]:
            return []
        token = f"{uuid.uuid4().hex}-"

        def work(writer: sqlite3.Connection) -> list[Delivery]:
            now = self._timestamp()
            sweep(writer, settings, now)
            until = now + settings.lock_seconds
            lock = {"until": until, "token": token, "queue": queue, "limit": messages_max}
            rows = sorted(writer.execute(_LOCK, lock).fetchall(), key=lambda row: row[8])
            return [
                Delivery(message_of(row), queue, row[6], row[7], row[8], moment_of(row[9]), moment_of(until))
                for row in rows
            ]

        return await self._write(work)

    async def complete(self, delivery: Delivery) -> None:
        """The message is done and gone.

        :raises LockLost: the lock lapsed
        """
        await self._settle(delivery, _COMPLETE)

    async def abandon(self, delivery: Delivery) -> None:
        """Give the message back at once; after the last allowed delivery it is dead-lettered.

        :raises LockLost: the lock lapsed
        """
        most = self._queue(delivery.queue).max_delivery_count
        await self._settle(delivery, _ABANDON, most, self._timestamp(), MAX_DELIVERIES, wakes=True)

    async def renew(self, delivery: Delivery) -> datetime:
        """Hold the lock for another lock duration; returns until when.

        :raises LockLost: the lock lapsed
        """
        until = self._timestamp() + self._queue(delivery.queue).lock_seconds
        await self._settle(delivery, _RENEW, until)
        return moment_of(until)

    async def dead_letter(self, delivery: Delivery, *, reason: str, description: str) -> None:
        """Put the message aside for good, with a reason.

        :raises LockLost: the lock lapsed
        """
        await self._settle(delivery, _BURY, self._timestamp(), reason, description)

    async def dead_counts(self) -> Mapping[str, int]:
        """How many dead letters each queue has; one whose last lock lapsed is among them once somebody receives.

        :raises BusUnavailable: no answer
        """
        found: dict[str, int] = dict(self._select(embedded_dead.COUNT_DEAD, (self._queue_names,)))
        return {name: found.get(name, 0) for name in self._queues}

    async def peek_dead_letters(
        self,
        queue: str,
        *,
        limit: int = DEAD_LETTERS_MAX,
        after: int = 0,
        reason: str | None = None,
        type_name: str | None = None,
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`."""
        await self._put_in_order(queue)
        if limit < 1:
            raise ValueError("A page has at least one dead letter.")
        embedded_dead.refuse_more_than_allowed(limit)
        wanted = {"queue": queue, "after": after, "reason": reason, "type": type_name, "limit": limit + 1}
        return embedded_dead.page_of(queue, self._select(embedded_dead.PEEK, wanted), limit)

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`; here a letter and its copy change places in one transaction."""
        self._queue(queue)
        embedded_dead.refuse_more_than_allowed(len(replays))
        taken = await self._write(
            lambda writer: embedded_dead.replay(writer, self._entities, queue, replays, self._timestamp())
        )
        if taken:
            sent_to(queue, len(taken))
        return taken

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        self._queue(queue)
        embedded_dead.refuse_more_than_allowed(len(sequence_numbers))
        return await self._write(lambda writer: embedded_dead.discard(writer, queue, sequence_numbers))

    async def counts(self, queue: str) -> Mapping[str, int]:
        """How many messages are `active` (locked ones included), `scheduled` and `dead`."""
        await self._put_in_order(queue)
        found: dict[int, int] = dict(self._select(_COUNTS, (queue,)))
        return {"active": found.get(0, 0) + found.get(1, 0), "scheduled": found.get(2, 0), "dead": found.get(3, 0)}

    def _queue(self, name: str) -> Queue:
        try:
            return self._queues[name]
        except KeyError:
            raise ValueError(f"There is no queue {name!r}.") from None

    def _something_due(self, queue: str) -> bool:
        return bool(self._select(_SOMETHING_DUE, {"queue": queue, "now": self._timestamp()})[0][0])

    async def _put_in_order(self, queue: str) -> None:
        settings = self._queue(queue)
        while self._something_due(queue):
            await self._write(lambda writer: sweep(writer, settings, self._timestamp()))

    async def _settle(self, delivery: Delivery, sql: str, *values: str | float, wakes: bool = False) -> None:
        def work(writer: sqlite3.Connection) -> None:
            lock = (delivery.sequence_number, delivery.lock_token, self._timestamp())
            if writer.execute(sql, (*values, *lock)).rowcount == 0:
                raise LockLost(f"The lock on message {delivery.message.id!r} of {delivery.queue!r} lapsed.")
            if wakes:
                writer.execute(_NUMBERS, (1,)).fetchall()

        await self._write(work)


def sweep(writer: sqlite3.Connection, queue: Queue, now: float) -> None:
    """Give back or bury messages whose lock lapsed, and enqueue scheduled ones that are due (at most `RECEIVE_MAX`)."""
    lapsed = {"most": queue.max_delivery_count, "now": now, "reason": MAX_DELIVERIES}
    writer.execute(_LAPSED, {**lapsed, "queue": queue.name, "limit": RECEIVE_MAX})
    due = writer.execute(_DUE, (queue.name, now, RECEIVE_MAX)).fetchall()
    if due:
        (last,) = writer.execute(_NUMBERS, (len(due),)).fetchone()
        # As in Service Bus a scheduled message joins the queue when it is due, under a new number.
        writer.executemany(_ENQUEUE_DUE, [(last - len(due) + place, row[0]) for place, row in enumerate(due, start=1)])
