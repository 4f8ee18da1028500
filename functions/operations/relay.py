"""The outbox relay: what a commit published is sent to the bus, then its outbox document is deleted.

At least once: if we die in between, it is sent again with the same MessageId. A batch that fails as a whole is given
again by the change feed (its trigger retries without limit). A document the bus can never take is parked beside the
others, for a person to look at, instead of blocking every event behind it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

import orjson

from shared.bus.port import Bus, Message, MessageRefused
from shared.events.envelope import OUTBOX_KIND
from shared.kernel.clock import stamp, utc_now
from shared.retry import TRANSIENT, retry
from shared.store.port import EVERYWHERE, PAGE_MAX, AlreadyExists, Create, Delete, NotFound, Store, Where
from shared.telemetry import DIAGNOSTIC_ID, Log, count, observe
from shared.topology import topology

PUBLISHERS: Final = ("events", "orders", "teams", "people")  # containers whose commits publish
OVERDUE: Final = timedelta(minutes=2)
RESENT_MAX: Final = PAGE_MAX  # a run; what is left comes next time
_log = Log("relay")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An outbox document, read and understood.

    :param since: when what it tells of happened; None where that cannot be read, which keeps no event from the bus
    """

    partition: str
    document_id: str
    destination: str
    message: Message
    document: Mapping[str, Any]
    since: datetime | None

    @classmethod
    def of(cls, container: str, document: Mapping[str, Any]) -> Self:
        """From a document of the change feed or of a query.

        :raises KeyError, ValueError, TypeError: it cannot be understood, now or ever
        """
        send_at, parent = document.get("send_at"), document.get("trace_parent")
        return cls(
            partition=document[topology().partition_key(container)],
            document_id=document["id"],
            document=document,
            since=_moment(document.get("outbox_since")),
            destination=document["destination"],
            message=Message(
                id=document["message_id"],
                type=document["type"],
                body=orjson.dumps(document["body"]),
                correlation_id=document.get("correlation_id", ""),
                due_at=datetime.fromisoformat(send_at) if send_at else None,
                properties={DIAGNOSTIC_ID: parent} if parent else {},
            ),
        )


class Relay:
    """Sends outbox documents."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def send(self, container: str, documents: Iterable[Mapping[str, Any]]) -> int:
        """Send the outbox documents among `documents` and delete them; how many were sent.

        :raises BusUnavailable: the bus does not answer; everything stays, to be sent again
        :raises StoreError: a sent document could not be deleted; it will be sent again, and recognised as a duplicate
        """
        outgoing: dict[str, list[Outgoing]] = defaultdict(list)
        for document in documents:
            if document.get("kind") != OUTBOX_KIND:
                continue
            try:
                item = Outgoing.of(container, document)
            except (KeyError, ValueError, TypeError) as error:
                await self._park(container, document, f"cannot be read: {error!r}")
                continue
            outgoing[item.destination].append(item)
        sent = 0
        for destination, items in outgoing.items():
            done = await self._publish(container, destination, items)
            _tell_ages(done, utc_now())
            await asyncio.gather(*(self._delete(container, item) for item in done))
            sent += len(done)
        return sent

    async def resend_overdue(self, now: datetime) -> int:
        """Send what the change feed should have sent long ago; how many were sent."""
        sent = 0
        for container in PUBLISHERS:
            where = [Where("outbox_since", "<", stamp(now - OVERDUE))]
            page = await self._store.query(container, EVERYWHERE, where=where, limit=RESENT_MAX)
            documents = [{**found.value, "id": found.id} for found in page.documents]
            if documents:
                count("outbox_overdue", len(documents))
                _log.warning("outbox_overdue", container=container, documents=len(documents))
                sent += await self.send(container, documents)
        return sent

    async def _publish(self, container: str, destination: str, items: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Publish all at once; if the bus refuses one of them, one by one, parking those it can never take."""
        try:
            await self._bus.publish(destination, [item.message for item in items])
        except MessageRefused:
            return [item for item in items if await self._publish_or_park(container, destination, item)]
        return items

    async def _publish_or_park(self, container: str, destination: str, item: Outgoing) -> bool:
        try:
            await self._bus.publish(destination, [item.message])
        except MessageRefused as refusal:
            await self._park(container, item.document, str(refusal))
            return False
        return True

    async def _delete(self, container: str, item: Outgoing) -> None:
        async def attempt() -> None:
            try:
                await self._store.commit(container, item.partition, [Delete(item.document_id)])
            except NotFound:
                return  # another relay sent it as well

        await retry(attempt, on=TRANSIENT)

    async def _park(self, container: str, document: Mapping[str, Any], reason: str) -> None:
        """Move a document that can never be sent out of the way, whole, with the reason."""
        count("outbox_parked")
        _log.error("outbox_parked", container=container, document=document["id"], reason=reason)
        partition = document[topology().partition_key(container)]
        kept = {key: value for key, value in document.items() if key != "id" and not key.startswith("_")}
        parked = {**kept, "kind": "parked", "outbox_since": None, "reason": reason}
        try:
            await self._store.commit(
                container, partition, [Create(f"parked:{document['id']}", parked), Delete(document["id"])]
            )
        except (AlreadyExists, NotFound):
            return  # another relay parked it


def _moment(found: object) -> datetime | None:
    """A moment with its time zone, if it is one."""
    try:
        moment = datetime.fromisoformat(found) if isinstance(found, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is not None else None


def _tell_ages(sent: Sequence[Outgoing], now: datetime) -> None:
    """How long events waited between what they tell of and the bus."""
    for item in sent:
        if item.since is not None:
            observe("outbox_seconds", max(0.0, (now - item.since).total_seconds()))
