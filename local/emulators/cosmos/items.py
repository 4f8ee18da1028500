"""Documents as resources: single ones, batches, queries, feeds."""

import sqlite3
from collections.abc import Callable
from typing import Any

import orjson

from local.emulators.cosmos import batches, charges, queries
from local.emulators.cosmos.account import Account
from local.emulators.cosmos.containers import RANGES, Container, Key, key_of, parse_header
from local.emulators.cosmos.documents import check_id, parse, rendered
from local.emulators.cosmos.errors import Refused, missing, unsupported
from local.emulators.cosmos.faults import Fault, History
from local.emulators.cosmos.feeds import NEWEST, changes, position_in
from local.emulators.cosmos.paging import page_limit, token_bytes
from local.emulators.cosmos.patches import parse_patch
from local.emulators.cosmos.plans import plan_of
from local.emulators.cosmos.requests import Answer, Asking, as_json
from local.emulators.cosmos.scopes import Scope, scope_of
from local.emulators.cosmos.sql_parser import parse_query
from local.emulators.cosmos.transactions import Outcome, Transaction, find

type Act = Callable[[Transaction], Outcome]


class Items:
    """Serves documents."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._history = History()
        self._positions: dict[tuple[int, str, str, str], int] = {}

    async def answer(self, asking: Asking, fault: Fault | None = None) -> Answer:
        """The answer to a request about documents.

        :raises Refused: what Cosmos DB would refuse, or 501
        """
        container = self._account.container(asking.names[0], asking.names[1])
        if len(asking.names) == 3:
            return await self._one(asking, container, asking.names[2], fault)
        if asking.method not in {"GET", "POST"}:
            raise Refused(405, f"{asking.method} is not possible on documents.")
        match asking.operation:
            case "feed":
                return self._changes(asking, container, fault)
            case "query" if asking.method == "GET":
                return self._query(asking, container, {"query": "SELECT * FROM c"})
            case "batch":
                return await self._batch(asking, container)
            case "plan":
                return _planned(_query_in(asking))
            case "query":
                return self._query(asking, container, _query_in(asking))
            case _:
                return await self._create(asking, container)

    async def _one(self, asking: Asking, container: Container, id_: str, fault: Fault | None) -> Answer:
        key = _key(asking, container)
        if_match = asking.headers.get("if-match")
        match asking.method:
            case "GET":
                return self._read(asking, container, key, id_, fault)
            case "PUT":
                body = parse(asking.body)
                return await self._act(asking, container, key, lambda todo: todo.replace(id_, body, if_match=if_match))
            case "PATCH":
                patch = parse_patch(_loaded(asking.body))
                return await self._act(asking, container, key, lambda todo: todo.patch(id_, patch, if_match=if_match))
            case "DELETE":
                return await self._act(asking, container, key, lambda todo: todo.delete(id_, if_match=if_match))
        raise Refused(405, f"{asking.method} is not possible on a document.")

    def _read(self, asking: Asking, container: Container, key: Key, id_: str, fault: Fault | None) -> Answer:
        stored = find(self._account.commits.reader, container, key, id_, self._account.timestamp())
        if fault is not None and fault.kind == "stale":
            stored = self._history.stale(container, key, id_, stored)
        if stored is None:
            raise missing(f"document {id_!r}")
        if asking.headers.get("if-none-match") == stored.etag:
            return Answer(304, b"", charges.point_read(0), {"etag": stored.etag})
        return Answer(200, rendered(container, stored), charges.point_read(stored.size), {"etag": stored.etag})

    async def _create(self, asking: Asking, container: Container) -> Answer:
        key, body = _key(asking, container), parse(asking.body)
        check_id(body["id"])
        if asking.flag("x-ms-documentdb-is-upsert"):
            if_match = asking.headers.get("if-match")
            return await self._act(asking, container, key, lambda todo: todo.upsert(body, if_match=if_match))
        return await self._act(asking, container, key, lambda todo: todo.create(body))

    async def _act(self, asking: Asking, container: Container, key: Key, act: Act) -> Answer:
        def work(writer: sqlite3.Connection) -> Outcome:
            return act(Transaction(writer, container, key, self._account.timestamp()))

        outcome = await self._account.write(work)
        self._history.remember(container, key, outcome.id, outcome.before)
        answer = Answer(outcome.status, b"", outcome.charge)
        if outcome.stored is not None:
            answer.headers["etag"] = outcome.stored.etag
            answer.headers["x-ms-session-token"] = f"0:-1#{outcome.stored.lsn}"
            if not asking.minimal:
                answer.body = rendered(container, outcome.stored)
        return answer

    async def _batch(self, asking: Asking, container: Container) -> Answer:
        if not asking.flag("x-ms-cosmos-batch-atomic"):
            raise unsupported("batches that are not atomic")
        key, operations = _key(asking, container), batches.parse_batch(asking.body)

        def work(writer: sqlite3.Connection) -> list[Outcome]:
            return batches.perform(Transaction(writer, container, key, self._account.timestamp()), operations)

        try:
            outcomes = await self._account.write(work)
        except batches.BatchFailed as failure:
            return batches.failed(len(operations), failure)
        for outcome in outcomes:
            if outcome.wrote:
                self._history.remember(container, key, outcome.id, outcome.before)
        charge = round(sum(outcome.charge for outcome in outcomes), 2)
        return Answer(200, batches.succeeded(container, outcomes, minimal=asking.minimal), charge)

    def _query(self, asking: Asking, container: Container, given: dict[str, Any]) -> Answer:
        query = parse_query(given["query"])
        limit = page_limit(asking.headers.get("x-ms-max-item-count"))
        longest = token_bytes(asking.headers.get("x-ms-documentdb-responsecontinuationtokenlimitinkb"))
        asked = queries.Asked(given["query"], query, _parameters(given), limit, longest)
        token = asking.headers.get("x-ms-continuation")
        state = asked.opened(token) if token else None
        scope = scope_of(container, asking.headers)
        if scope is not None:
            page, going_on = queries.run(self._account, asked, scope, state), None
            if page.continuation is not None:
                going_on = asked.token(page.continuation)
            return _page(container, page, going_on)
        if asking.method == "POST":
            _check_across(asking, query.plain)
        return self._across(container, asked, state)

    def _across(self, container: Container, asked: queries.Asked, state: list[Any] | None) -> Answer:
        """Range after range; a page ends where its range does, so it may be short, or empty, and yet not the last.

        https://learn.microsoft.com/azure/cosmos-db/nosql/query/pagination
        """
        place, after = (int(state[0]), state[1]) if state else (0, None)
        part = RANGES[place]
        page = queries.run(self._account, asked, Scope(container, None, part.low, part.high), after)
        going_on = None
        if page.continuation is not None:
            going_on = asked.token([place, page.continuation])
        elif place + 1 < len(RANGES):
            going_on = asked.token([place + 1, None])
        return _page(container, page, going_on)

    def _changes(self, asking: Asking, container: Container, fault: Fault | None) -> Answer:
        scope = scope_of(container, asking.headers)
        if scope is None:
            raise unsupported("a change feed over all ranges at once; ask range by range, as the SDKs do")
        headers = dict(asking.headers)
        place = (container.number, "" if scope.key is None else scope.key.text, scope.low, scope.high)
        asked = headers.get("if-none-match")
        if fault is not None and fault.kind == "repeat" and asked != NEWEST:
            # Where whoever asked before stood; another reader may be further on, and nobody must skip anything.
            headers["if-none-match"] = f'"{min(self._positions.get(place, 0), position_in(asked))}"'
        elif asked != NEWEST:
            self._positions[place] = position_in(asked)
        found = changes(self._account, scope, headers, page_limit(headers.get("x-ms-max-item-count")))
        answered = {"etag": f'"{found.position}"'}
        if not found.documents:
            return Answer(304, b"", charges.FEED_EMPTY, answered)
        rows = [rendered(container, stored, with_lsn=True) for stored in found.documents]
        body = _documents(container, rows)
        answered["x-ms-item-count"] = str(len(rows))
        return Answer(200, body, charges.feed(len(body)), answered)


def _key(asking: Asking, container: Container) -> Key:
    """The one logical partition a request is about.

    :raises Refused: 400, it names none, or only the beginning of one
    """
    header = asking.headers.get("x-ms-documentdb-partitionkey")
    if header is None:
        raise Refused(400, "x-ms-documentdb-partitionkey header must be specified.")
    components = parse_header(container, header)
    if len(components) != len(container.paths):
        raise Refused(400, "Partition key provided either doesn't correspond to definition in the collection.")
    return key_of(container, components)


def _query_in(asking: Asking) -> dict[str, Any]:
    given = _loaded(asking.body)
    if not isinstance(given, dict) or not isinstance(given.get("query"), str):
        raise Refused(400, "A query is an object with the member query, a string.")
    return given


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    entries = given.get("parameters") or []
    if not isinstance(entries, list) or not all(isinstance(part, dict) and "name" in part for part in entries):
        raise Refused(400, "The parameters of a query are an array of names and values.")
    return {str(part["name"]): part.get("value") for part in entries}


def _planned(given: dict[str, Any]) -> Answer:
    plan = plan_of(parse_query(given["query"]), _parameters(given))
    return Answer(200, as_json(plan), charges.MANAGEMENT)


def _check_across(asking: Asking, plain: bool) -> None:
    """https://learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api"""
    if not asking.flag("x-ms-documentdb-query-enablecrosspartition"):
        raise Refused(
            400,
            "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to "
            "true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.",
        )
    if not plain:
        raise Refused(
            400, "The provided cross partition query can not be directly served by the gateway.", substatus=1004
        )


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The request payload is invalid: {error}") from None


def _page(container: Container, page: queries.Page, going_on: str | None) -> Answer:
    charge = charges.query(scanned=page.scanned, returned_bytes=page.size)
    headers = {"x-ms-item-count": str(len(page.rows))}
    if going_on is not None:
        headers["x-ms-continuation"] = going_on
    return Answer(200, _documents(container, page.rows), charge, headers)


def _documents(container: Container, rows: Any) -> bytes:
    head = f'{{"_rid":"{container.rid}","Documents":['.encode()
    return head + b",".join(rows) + f'],"_count":{len(rows)}}}'.encode()
