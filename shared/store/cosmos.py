"""The store on Azure Cosmos DB, through Microsoft's own SDK.

Every commit is a transactional batch in one partition: it happens whole or not at all. A batch whose answer was lost
may have happened; it is `Unavailable` here and repeated by whoever asked, which is safe: ids follow from what is done.
The SDK is told to send a write a second time only after a 429, which says that it was not done.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from shared.store.conditions import check_grouping, check_query, check_where
from shared.store.continuation import Continuations, query_text
from shared.store.cosmos_account import CALL_SECONDS, CosmosAccount
from shared.store.cosmos_errors import answered, batch_trouble, charge_of, headers_of
from shared.store.cosmos_sql import Query, counts, patch_operations, predicate, select
from shared.store.documents import check_size, check_writes, dumps, own_part, whole
from shared.store.port import (
    GROUPS_MAX,
    PAGE_MAX,
    Count,
    Create,
    Delete,
    Document,
    Everywhere,
    Json,
    NotFound,
    OrderBy,
    Page,
    Patch,
    Replace,
    Unavailable,
    Where,
    Write,
)
from shared.telemetry import charge
from shared.topology import Topology

PAGES_MAX: Final = 20  # answers one page of ours is gathered from; Cosmos may give short and empty ones
COUNT_PAGES_MAX: Final = 200
CONTINUATION_KILOBYTES: Final = 1  # signed and in base64 this is less than `PageQuery` takes back
_CONTINUATION: Final = "x-ms-continuation"

type _Operation = tuple[str, tuple[Any, ...], dict[str, Any]]


class CosmosStore:
    """A `Store` on a Cosmos DB account with Strong consistency and one write region."""

    def __init__(
        self,
        account: CosmosAccount,
        topology: Topology,
        signing_secret: bytes,
        *,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """Nothing is opened before the first call.

        :param topology: which containers there are
        :param signing_secret: signs continuation tokens
        :param call_seconds: a call answers within this, whatever it waits for
        """
        self._account = account
        self._call_seconds = call_seconds
        self._keys = {container.name: container.partition_key for container in topology.containers}
        self._continuations = Continuations(signing_secret)

    async def close(self) -> None:
        """End the connections."""
        await self._account.close()

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """The document, at its latest committed version: one point read.

        :raises NotFound: there is none
        :raises Busy: throttled
        :raises Unavailable: no answer
        """
        self._partition_key(container)
        what = f"{id!r} in {container}/{partition}"
        async with answered(what, self._call_seconds, container=container, kind="read"):
            documents = await self._account.container(container)
            from azure.cosmos.exceptions import CosmosResourceNotFoundError

            try:
                found = await documents.read_item(id, partition, response_hook=partial(_read, container))
            except CosmosResourceNotFoundError as error:
                if error.sub_status:  # 1003 and the like: what the document would lie in is not there
                    raise
                charge(container, "read", charge_of(headers_of(error)))
                raise NotFound(f"There is no {what}.") from error
        return Document(id, partition, own_part(found), found["_etag"])

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """All of `writes` as one transactional batch, or none of them.

        :raises CommitRefused: a write refused
        :raises Busy: throttled, or another write on the document is under way; nothing happened
        :raises Unavailable: no answer; it may have happened
        :raises ValueError: a write Cosmos could never accept
        """
        key = self._partition_key(container)
        operations = _operations(writes, partition_key=key, partition=partition)
        what = f"A commit in {container}/{partition}"
        async with answered(what, self._call_seconds, container=container, kind="write"):
            documents = await self._account.container(container)
            from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

            try:
                answers = await documents.execute_item_batch(operations, partition)
            except CosmosBatchOperationError as error:
                charge(container, "write", charge_of(headers_of(error)))
                raise batch_trouble(error, writes, what=what) from error
            except CosmosHttpResponseError as error:
                if error.status_code != 413:
                    raise
                charge(container, "write", charge_of(headers_of(error)))
                raise ValueError(f"{what} is too large for Cosmos DB.") from error
        charge(container, "write", charge_of(answers.get_response_headers()))
        return [
            "" if isinstance(write, Delete) else answer["eTag"] for write, answer in zip(writes, answers, strict=True)
        ]

    async def query(
        self,
        container: str,
        partition: str | Everywhere,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int = 50,
        continuation: str | None = None,
    ) -> Page:
        """A page of the documents for which every condition holds; the last one may be empty.

        :raises ValueError: `EVERYWHERE` with `order_by`, an unknown container, operator or impossible limit
        :raises ContinuationRefused: the token is not one we signed for this very query
        :raises Busy: throttled
        :raises Unavailable: no answer
        """
        key = self._partition_key(container)
        check_query(partition, where=where, order_by=order_by, limit=limit)
        asked = query_text(container, partition, where, order_by)
        token = None if continuation is None else self._continuations.open(asked, continuation)
        wanted = select(where, order_by, one_partition=isinstance(partition, str))
        found: list[Mapping[str, Json]] = []
        async with answered(f"A query in {container}", self._call_seconds, container=container, kind="query"):
            for _ in range(PAGES_MAX):
                rows, token = await self._page(container, partition, wanted, limit - len(found), token)
                found += rows
                if token is None or len(found) == limit:
                    break
        documents = [Document(row["id"], row[key], own_part(row), row["_etag"]) for row in found]
        return Page(documents, None if token is None else self._continuations.sign(asked, token))

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """How many documents of one partition have each combination of values, the largest number first.

        :raises ValueError: an unknown container, no properties or too many, or an unknown operator
        :raises Busy: throttled
        :raises Unavailable: no answer, or more pages than `COUNT_PAGES_MAX`: a part would not be the answer
        """
        self._partition_key(container)
        check_where(where)
        check_grouping(by)
        wanted, token, total = counts(by, where), None, Counter[tuple[str, ...]]()
        async with answered(f"A count in {container}", self._call_seconds, container=container, kind="query"):
            for _ in range(COUNT_PAGES_MAX):
                rows, token = await self._page(container, partition, wanted, PAGE_MAX, token)
                for row in rows:  # a part of a group may come with each page
                    total[tuple(row[f"v{place}"] for place in range(len(by)))] += row["n"]
                if token is None:
                    break
            else:
                raise Unavailable(f"A count in {container} has more than {COUNT_PAGES_MAX} pages.")
        ordered = sorted(total.items(), key=lambda group: (-group[1], group[0]))
        return [Count(values, number) for values, number in ordered[:GROUPS_MAX]]

    async def _page(
        self, container: str, partition: str | Everywhere, wanted: Query, limit: int, token: str | None
    ) -> tuple[list[dict[str, Json]], str | None]:
        documents = await self._account.container(container)
        place: dict[str, Any] = {} if isinstance(partition, Everywhere) else {"partition_key": partition}
        heard = _Heard(container)
        pages = documents.query_items(
            wanted.text,
            parameters=wanted.parameters,
            max_item_count=limit,
            continuation_token_limit=CONTINUATION_KILOBYTES,
            response_hook=heard,
            **place,
        ).by_page(token)
        async for page in pages:
            return [row async for row in page], heard.continuation
        return [], None

    def _partition_key(self, container: str) -> str:
        try:
            return self._keys[container]
        except KeyError:
            raise ValueError(f"There is no container {container!r}.") from None


def _operations(writes: Sequence[Write], *, partition_key: str, partition: str) -> list[_Operation]:
    """The batch, once it is sure that Cosmos could accept it.

    :raises ValueError: it could not
    """
    check_writes(writes, partition_key=partition_key, partition=partition)
    operations: list[_Operation] = []
    sizes = []
    for write in writes:
        match write:
            case Create() | Replace():
                value = whole(write.value, partition_key=partition_key, partition=partition)
                sizes.append(dumps(value))
                body = {"id": write.id, **value, **({} if write.ttl_seconds is None else {"ttl": write.ttl_seconds})}
                operations.append(
                    ("create", (body,), {})
                    if isinstance(write, Create)
                    else ("replace", (write.id, body), {"if_match_etag": write.etag})
                )
            case Patch():
                condition = {"filter_predicate": predicate(write.conditions)} if write.conditions else {}
                operations.append(("patch", (write.id, patch_operations(write.sets, write.increments)), condition))
            case Delete():
                operations.append(("delete", (write.id,), {} if write.etag is None else {"if_match_etag": write.etag}))
    check_size(sizes)
    return operations


def _read(container: str, headers: Mapping[str, Any], _: object) -> None:
    charge(container, "read", charge_of(headers))


class _Heard:
    """Hears each answer to one query.

    The SDK's own `continuation_token` is read from headers that the client keeps for all its calls: with several at
    once it may be another query's.
    """

    def __init__(self, container: str) -> None:
        self._container = container
        self.continuation: str | None = None

    def __call__(self, headers: Mapping[str, Any], _: object) -> None:
        charge(self._container, "query", charge_of(headers))
        self.continuation = headers.get(_CONTINUATION) or None
