"""A ticket reaches its owner's wallet though the store shows it late; there is nobody who would tell of it again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.admission.repository import ORDERS, TicketRepository, creating
from shared.store.embedded import EmbeddedStore
from shared.store.port import Document, NotFound, Store
from shared.topology import topology
from tests.doubles.stores import Passing
from tests.factories import catalog, sales


class Behind(Passing):
    """Does not show what was just written for the first reads of it."""

    def __init__(self, inner: Store, reads: int) -> None:
        super().__init__(inner)
        self._left = reads

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if container == ORDERS and self._left > 0:
            self._left -= 1
            raise NotFound(f"{id} is not there yet")
        return await super().read(container, partition, id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "store.db", topology(), b"x" * 32)
    yield opened
    opened.close()


async def test_a_ticket_that_the_store_shows_late_is_in_its_owners_wallet_all_the_same(store: EmbeddedStore) -> None:
    [ticket, *_] = sales.order().tickets(catalog.NOW)
    await store.commit(ORDERS, ticket.order_id, creating([ticket]))

    await TicketRepository(Behind(store, reads=3)).put_in_wallet(ticket)

    page = await TicketRepository(store).wallet(ticket.owner_id, limit=10, continuation=None)
    assert [document.value["number"] for document in page.documents] == [ticket.number]
