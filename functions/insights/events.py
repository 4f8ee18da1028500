"""The aggregation service's store of events: each one once, by its id, in its organiser's partition."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.kernel.ids import OrganiserId
from shared.retry import TRANSIENT, retry
from shared.store.port import AlreadyExists, Create, OrderBy, Page, Store, Where

INSIGHTS: Final = "insights"


class RecordedEvents:
    """Records events and reads them back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, organiser_id: OrganiserId, event: Mapping[str, Any]) -> bool:
        """Keep an event; False when it is known already, and nothing changed.

        :param event: as published; its `id` makes it one
        """
        value = {
            "kind": "insight",
            "event_id": event["id"],
            "name": event["type"],
            "created_at": event["occurred_at"],
            "payload": dict(event),
        }

        async def attempt() -> bool:
            try:
                await self._store.commit(INSIGHTS, organiser_id, [Create(event["id"], value)])
            except AlreadyExists:
                return False
            return True

        return await retry(attempt, on=TRANSIENT)

    async def of(
        self, organiser_id: OrganiserId, *, where: Sequence[Where], limit: int, continuation: str | None
    ) -> Page:
        """A page of an organiser's events, latest first."""
        return await self._store.query(
            INSIGHTS,
            organiser_id,
            where=where,
            order_by=OrderBy("created_at", descending=True),
            limit=limit,
            continuation=continuation,
        )
