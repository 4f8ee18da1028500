"""The audit trail over HTTP: the platform's for those who run it, an organiser's for its owners."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from shared.audit import PLATFORM, AuditEntry, AuditTrail, Step
from shared.auth.permissions import Permission
from shared.kernel.clock import Moment
from shared.kernel.errors import Malformed, NotFound
from shared.web.endpoint import Call, Endpoints, Wire
from shared.web.problem import form


class AuditQuery(Wire):
    """Which part of the trail."""

    month: str | None = Field(
        default=None,
        pattern=form("^2[01][0-9]{2}-(0[1-9]|1[0-2])$", "a month as YYYY-MM from 2000-01 to 2199-12, e.g. 2026-11"),
        description="in UTC, e.g. `2026-11`; without it the current one",
    )
    limit: int = Field(default=50, ge=1, le=200)
    continuation: str | None = Field(default=None, max_length=2_000)


class AuditEntryView(BaseModel):
    """One entry: an intent, or its outcome under the same `audit_id`.

    An intent without an outcome was interrupted: send the same request with the same Idempotency-Key again.
    """

    audit_id: str
    step: Step
    at: Moment
    who: str
    what: str
    target: str
    why: str
    correlation_id: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """A page of the trail, latest first."""

    items: list[AuditEntryView]
    continuation: str | None = None


def audit_endpoint(http: Endpoints, trail: AuditTrail) -> None:
    """Declare the endpoint."""

    @http(
        "GET", "operations/audit", needs=Permission.OPERATE, takes=AuditQuery, returns=AuditPage, refuses=[Malformed]
    )  # fmt: skip
    async def list_audit(call: Call, query: AuditQuery) -> AuditPage:
        """List what was done to the platform, its people, keys and dead letters, latest first, a month at a time.

        A page may have fewer entries than `limit`, since discarded letters are kept whole; as long as there is a
        `continuation`, there are more.
        """
        return await _page(trail, PLATFORM, query, call)

    @http(
        "GET", "organisers/{organiser_id}/audit", needs=Permission.READ_AUDIT, takes=AuditQuery, returns=AuditPage,
        refuses=[Malformed, NotFound], within="organiser_id",
    )  # fmt: skip
    async def list_organiser_audit(call: Call, query: AuditQuery) -> AuditPage:
        """List who did what to an organiser, its events, people and keys, latest first, a month at a time."""
        return await _page(trail, call.id("organiser_id"), query, call)


async def _page(trail: AuditTrail, scope: str, query: AuditQuery, call: Call) -> AuditPage:
    month = datetime.strptime(query.month, "%Y-%m").replace(tzinfo=UTC) if query.month else call.now
    page = await trail.page(scope, month, limit=query.limit, continuation=query.continuation)
    entries = [AuditEntry.model_validate(document.value) for document in page.documents]
    items = [AuditEntryView.model_validate(entry.model_dump()) for entry in entries]
    return AuditPage(items=items, continuation=page.continuation)
