"""The audit trail: who did what to the platform, when and why, in documents that are only ever added.

What touches another system than the store is written down twice: the intent before, the outcome after. An intent
without an outcome says that we died in between; asking again with the same Idempotency-Key finishes it, in the month of
the intent or the one after. Documents lie in partitions of one scope and one month, so none grows for ever and no
partition is written by everybody.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Any, Final, Self

import orjson
from pydantic import ConfigDict

from shared.kernel.clock import Moment
from shared.kernel.errors import KeyReused
from shared.kernel.model import Model
from shared.retry import TRANSIENT, retry
from shared.store.port import AlreadyExists, Create, Document, NotFound, OrderBy, Page, Store

AUDIT: Final = "audit"
PLATFORM: Final = "platform"  # the scope of what concerns no single organiser

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # a page has no more entries than the one that exceeds this
READ_AT_ONCE: Final = 5  # entries: the store lets each have 2 MiB


@unique
class Step(StrEnum):
    """What is about to be done, and what came of it."""

    INTENT = "intent"
    OUTCOME = "outcome"


class AuditEntry(Model):
    """One document of the trail.

    :param audit_id: of the action: its intent and its outcome share it
    :param scope: `PLATFORM`, or an organiser's id
    :param who: a person's id, or a service key's
    :param what: the action, e.g. `dead-letters.replay`, or the function that did it
    :param target: what it was done to, e.g. a queue
    :param request: a hash of what was asked
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    audit_id: str
    step: Step
    scope: str
    at: Moment
    who: str
    what: str
    target: str
    why: str
    correlation_id: str
    request: str
    details: dict[str, Any]

    @property
    def partition(self) -> str:
        """Where both its documents lie."""
        return partition_of(self.scope, self.at)

    def outcome(self, details: Mapping[str, Any], *, now: datetime) -> Self:
        """What came of this intent."""
        return self.model_copy(update={"step": Step.OUTCOME, "at": now, "details": dict(details)})


def partition_of(scope: str, moment: datetime) -> str:
    """The partition of a scope's month (UTC), e.g. `platform#2026-11`."""
    return f"{scope}#{moment:%Y-%m}"


class AuditTrail:
    """Adds to the trail and reads it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def intend(self, intent: AuditEntry) -> AuditEntry:
        """Write an intent down; if the same request did before, this month or last, the one there is.

        :raises KeyReused: another request has its id
        """
        there = await self._read(partition_of(intent.scope, _last_month(intent.at)), intent.audit_id, Step.INTENT)
        if there is None:
            there = await self._add(intent, intent.partition)
        if there.request != intent.request:
            raise KeyReused(
                "This Idempotency-Key was used for another request; make up a new one.", field="Idempotency-Key"
            )
        return there

    async def begin(self, intent: AuditEntry) -> None:
        """Write down an intent whose id nobody else made up."""
        await self._add(intent, intent.partition)

    async def conclude(self, intent: AuditEntry, details: Mapping[str, Any], *, now: datetime) -> AuditEntry:
        """Write down what came of an intent; the first outcome stays."""
        return await self._add(intent.outcome(details, now=now), intent.partition)

    async def outcome_of(self, intent: AuditEntry) -> AuditEntry | None:
        """What came of an intent; None while nobody wrote that down."""
        return await self._read(intent.partition, intent.audit_id, Step.OUTCOME)

    async def page(self, scope: str, month: datetime, *, limit: int, continuation: str | None) -> Page:
        """A page of a scope's month, latest first: shorter than `limit` where entries are large.

        :param month: any moment in it, UTC
        """
        documents: list[Document] = []
        size = 0
        for _ in range(limit):
            found = await self._store.query(
                AUDIT,
                partition_of(scope, month),
                order_by=OrderBy("at", descending=True),
                limit=min(READ_AT_ONCE, limit - len(documents)),
                continuation=continuation,
            )
            documents += found.documents
            size += sum(len(orjson.dumps(each.value)) for each in found.documents)
            continuation = found.continuation
            if continuation is None or len(documents) == limit or size >= PAGE_BYTES_MAX:
                break
        return Page(documents, continuation)

    async def _read(self, partition: str, audit_id: str, step: Step) -> AuditEntry | None:
        async def attempt() -> AuditEntry | None:
            try:
                found = await self._store.read(AUDIT, partition, _id(audit_id, step))
            except NotFound:
                return None
            return AuditEntry.model_validate(found.value)

        return await retry(attempt, on=TRANSIENT)

    async def _add(self, entry: AuditEntry, partition: str) -> AuditEntry:
        id_ = _id(entry.audit_id, entry.step)
        value = {"kind": "audit", **entry.model_dump(mode="json")}

        async def attempt() -> AuditEntry:
            try:
                await self._store.commit(AUDIT, partition, [Create(id_, value)])
            except AlreadyExists:
                return AuditEntry.model_validate((await self._store.read(AUDIT, partition, id_)).value)
            return entry

        return await retry(attempt, on=TRANSIENT)


def _last_month(moment: datetime) -> datetime:
    return moment.replace(day=1) - timedelta(days=1)


def _id(audit_id: str, step: Step) -> str:
    return f"{audit_id}:{step}"
