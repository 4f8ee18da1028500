"""A person's traces in documents that are not theirs: a property that names them, found by its value and made empty."""

from collections.abc import AsyncIterator
from typing import Final

from shared.retry import TRANSIENT, retry
from shared.store.paging import all_documents
from shared.store.port import EVERYWHERE, PAGE_MAX, ConditionFailed, Delete, Document, NotFound, Patch, Store, Where

CHANGED_AT_ONCE: Final = 1_000


class Traces:
    """Traces in one container, whose topology says that it is `found_by` the properties asked for."""

    def __init__(self, store: Store, container: str) -> None:
        self._store = store
        self._container = container

    def found(self, path: str, value: str) -> AsyncIterator[Document]:
        """The documents in which the property has this value."""
        where = [Where(path, "=", value)]
        return all_documents(
            lambda continuation: self._store.query(
                self._container, EVERYWHERE, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )

    async def blank(self, path: str, value: str) -> bool:
        """Make the property empty wherever it has this value, some of them at once; whether none are left."""
        changed = 0
        async for document in self.found(path, value):
            if changed == CHANGED_AT_ONCE:
                return False
            await self._commit(document, Patch(document.id, sets={path: ""}, conditions=[Where(path, "=", value)]))
            changed += 1
        return True

    async def delete(self, path: str, value: str) -> bool:
        """Delete the documents in which the property has this value, some of them at once; whether none are left."""
        deleted = 0
        async for document in self.found(path, value):
            if deleted == CHANGED_AT_ONCE:
                return False
            await self._commit(document, Delete(document.id))
            deleted += 1
        return True

    async def _commit(self, document: Document, write: Patch | Delete) -> None:
        async def attempt() -> None:
            try:
                await self._store.commit(self._container, document.partition, [write])
            except (ConditionFailed, NotFound):
                return  # it was done meanwhile

        await retry(attempt, on=TRANSIENT)
