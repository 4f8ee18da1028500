"""Publishing and cancelling an event over Cosmos DB though the answer to the write is lost: done once, and told so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.catalog.events import EventState
from functions.catalog.repository import CatalogRepository
from shared.store.port import EVERYWHERE
from tests.factories import catalog
from tests.faults.till import Till, opened


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    async with opened(tmp_path) as running:
        yield running


async def outbox(till: Till) -> list[str]:
    """The ids of what is to be told of events."""
    page = await till.inner.query("events", EVERYWHERE, limit=100)
    return sorted(document.id for document in page.documents if document.id.startswith("outbox:"))


@pytest.mark.parametrize("kind", ["reset", "timeout"])
async def test_an_event_is_cancelled_once_though_the_answer_was_lost(till: Till, kind: str) -> None:
    event = (await CatalogRepository(till.adapters.store).event(till.event_id)).event
    await till.fail(kind=kind, operation="batch", container="events", performed=True)

    cancelled = await till.cases.managing.cancel(
        till.event_id, caller=catalog.owner(event.organiser_id), now=catalog.NOW
    )

    assert (cancelled.state, cancelled.version) == (EventState.CANCELLED, event.version + 1)
    assert await till.hits() == 1
    assert await outbox(till) == [f"outbox:{till.event_id}.{what}" for what in ("cancelled", "published")]


async def test_an_event_is_published_once_though_the_answer_was_lost(till: Till) -> None:
    draft = catalog.event(name="another", pools={"floor": 5})
    boss = catalog.owner(draft.organiser_id)
    await till.cases.managing.create_event(draft)
    await till.fail(kind="reset", operation="batch", container="events", performed=True)

    published = await till.cases.managing.publish(draft.event_id, caller=boss, now=catalog.NOW)

    assert (published.state, published.version) == (EventState.PUBLISHED, draft.version + 1)
    assert await till.hits() == 1
    assert f"outbox:{draft.event_id}.published" in await outbox(till)
