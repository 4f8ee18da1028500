"""The query API, for as much of KQL as picks rows out: a table, then `where` with equalities, `project`, `take`.

https://learn.microsoft.com/rest/api/application-insights/query/execute, and for the tables' columns
https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete. Everything else of the language is refused by
name, with the status and shape of the service's own refusals.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.applicationinsights.store import Items
from local.emulators.replies import Control, json_reply, read_control

ROWS_MAX: Final = 10_000
ITEMS_A_PAGE: Final = 1_000
TABLES: Final = {"requests": "RequestData", "dependencies": "RemoteDependencyData", "customEvents": "EventData"}
_EQUALITY: Final = re.compile(
    r'(?:tostring\((?P<inner>customDimensions\.\w+)\)|(?P<column>customDimensions\.\w+|\w+))\s*==\s*"(?P<text>[^"\\]*)"'
)

type Row = Mapping[str, Any]


class QueryRefused(Exception):
    """A query that the double does not understand, or that is none."""


class Question(Control):
    """What is asked.

    :param timespan: as the service takes it; everything here is young enough
    """

    query: str = Field(min_length=1, max_length=10_000)
    timespan: str = Field(default="", max_length=100)


@dataclass(frozen=True, slots=True)
class Query:
    """What a query wants.

    :param equal: column → the text it must have
    :param columns: what of each row; none: all of it
    """

    table: str
    equal: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    limit: int


class Queries:
    """Answers queries."""

    def __init__(self, items: Items, may_ask: Callable[[Request], bool]) -> None:
        self._items = items
        self._may_ask = may_ask

    def routes(self) -> list[Route]:
        """What is asked by clients of the query API."""
        return [Route("/v1/apps/{app:str}/query", self.query, methods=["POST"])]

    async def query(self, request: Request) -> Response:
        """The rows a query finds, the oldest first."""
        if not self._may_ask(request):
            return _refusal(403, "InsufficientAccessError", "The provided credentials have insufficient access.")
        asked = await read_control(request, Question)
        try:
            wanted = parsed(asked.query)
        except QueryRefused as error:
            return _refusal(400, "BadArgumentError", str(error))
        rows = [row for row in self._rows(wanted.table) if _fits(row, wanted)][: wanted.limit]
        columns = wanted.columns or tuple(dict.fromkeys(name for row in rows for name in row))
        table = {
            "name": "PrimaryResult",
            "columns": [{"name": name, "type": "string"} for name in columns],
            "rows": [[_told(_value(row, name)) for name in columns] for row in rows],
        }
        return json_reply({"tables": [table]})

    def _rows(self, table: str) -> Iterable[Row]:
        after = 0
        while page := self._items.page(operation="", type_=TABLES[table], after=after, limit=ITEMS_A_PAGE):
            yield from map(_row, page)
            after = page[-1]["number"]


def parsed(text: str) -> Query:
    """A query in KQL.

    :raises QueryRefused: it is none, or more than the double understands
    """
    table, *stages = [part.strip() for part in text.split("|")]
    if table not in TABLES:
        raise QueryRefused(f"'{table}' is no table here; there are {', '.join(TABLES)}.")
    equal: list[tuple[str, str]] = []
    columns: tuple[str, ...] = ()
    limit = ROWS_MAX
    for stage in stages:
        word, _, rest = stage.partition(" ")
        match word:
            case "where":
                equal += [_equality(part) for part in re.split(r"\s+and\s+", rest.strip())]
            case "project" if re.fullmatch(r"\s*\w+(\s*,\s*\w+)*\s*", rest):
                columns = tuple(part.strip() for part in rest.split(","))
            case "take" if rest.strip().isdecimal():
                limit = min(int(rest), ROWS_MAX)
            case _:
                raise QueryRefused(f"This double does not understand '{stage}'.")
    return Query(table, tuple(equal), columns, limit)


def _equality(text: str) -> tuple[str, str]:
    found = _EQUALITY.fullmatch(text.strip())
    if found is None:
        raise QueryRefused(f"This double understands equalities with a text only, and not '{text}'.")
    return found["inner"] or found["column"], found["text"]


def _row(envelope: Row) -> Row:
    told, tags = envelope["data"]["baseData"], envelope.get("tags") or {}
    return {
        "timestamp": str(envelope["time"]),
        "name": str(told.get("name", "")),
        "id": str(told.get("id", "")),
        "success": str(told.get("success", True)),
        "operation_Id": str(tags.get("ai.operation.id", "")),
        "operation_ParentId": str(tags.get("ai.operation.parentId") or ""),
        "cloud_RoleName": str(tags.get("ai.cloud.role", "")),
        "application_Version": str(tags.get("ai.application.ver", "")),
        "customDimensions": {name: _told(value) for name, value in (told.get("properties") or {}).items()},
    }


def _fits(row: Row, wanted: Query) -> bool:
    return all(_value(row, column) == text for column, text in wanted.equal)


def _value(row: Row, column: str) -> Any:
    name, _, inner = column.partition(".")
    found = row.get(name, "")
    return found.get(inner, "") if inner and isinstance(found, dict) else found


def _told(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _refusal(status: int, code: str, message: str) -> Response:
    inner = {"code": code, "message": message}
    return json_reply({"error": {"message": message, "code": code, "innererror": inner}}, status)
