"""Insights over HTTP: private, with a bearer key of its own that no person's token replaces."""

from typing import Any

from pydantic import BaseModel, Field

from functions.insights.events import RecordedEvents
from shared.auth.permissions import Permission
from shared.kernel.errors import Malformed
from shared.kernel.ids import OrganiserId
from shared.store.port import Where
from shared.web.endpoint import Admits, Call, Endpoints, Wire
from shared.web.fields import Id


class InsightsQuery(Wire):
    """Which events."""

    organiser_id: Id
    name: str | None = Field(default=None, max_length=64, description="an event type, e.g. `OrderPaid`")
    limit: int = Field(default=50, ge=1, le=200)
    continuation: str | None = Field(default=None, max_length=2_000)


class RecordedEvent(BaseModel):
    """An event as it was published."""

    event_id: str
    name: str
    created_at: str
    payload: dict[str, Any]


class RecordedPage(BaseModel):
    """A page of events, latest first."""

    items: list[RecordedEvent]
    continuation: str | None = None


def endpoints(recorded: RecordedEvents, gate: Admits) -> Endpoints:
    """The endpoints of insights."""
    http = Endpoints("insights", gate)

    @http(
        "GET", "insights/events", needs=Permission.READ_INSIGHTS, takes=InsightsQuery, returns=RecordedPage,
        refuses=[Malformed],
    )  # fmt: skip
    async def list_insights(call: Call, query: InsightsQuery) -> RecordedPage:
        """List an organiser's recorded events, latest first."""
        where = [Where("name", "=", query.name)] if query.name else []
        page = await recorded.of(
            OrganiserId(query.organiser_id), where=where, limit=query.limit, continuation=query.continuation
        )
        items = [RecordedEvent.model_validate(document.value) for document in page.documents]
        return RecordedPage(items=items, continuation=page.continuation)

    return http
