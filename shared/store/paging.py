"""Going through all pages of a query, within a bound: a first page that cannot be helped must not hide the others."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from shared.store.port import Document, Page

PAGES_MAX: Final = 1_000

type Ask = Callable[[str | None], Awaitable[Page]]


async def all_documents(ask: Ask, *, pages_max: int = PAGES_MAX) -> AsyncIterator[Document]:
    """Every document of a query, page by page.

    :param ask: gives the page after a continuation token, the first for None
    :param pages_max: after so many pages it ends, whatever is left
    """
    continuation: str | None = None
    for _ in range(pages_max):
        page = await ask(continuation)
        for document in page.documents:
            yield document
        continuation = page.continuation
        if continuation is None:
            return
