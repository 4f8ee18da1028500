"""Pages for people, JSON for tests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.applicationinsights.store import Items, Show
from local.emulators.applicationinsights.traces import Operation, operation_of
from local.emulators.replies import Pages, json_reply

ITEMS_A_PAGE: Final = 1_000
OPERATIONS_SHOWN: Final = 50
SPANS_SHOWN: Final = 1_000


class Web:
    """What can be looked at."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._pages = Pages(Path(__file__).parent / "templates")
        self._pages.environment.filters["clock"] = _clock

    def routes(self) -> list[Route]:
        """Pages and JSON."""
        return [
            Route("/", self.index),
            Route("/operations/{id:str}", self.operation),
            Route("/items", self.items, methods=["GET", "DELETE"]),
        ]

    async def index(self, request: Request) -> Response:
        """The latest operations, those that began `before` one of them; `show` says of which kind."""
        given = request.query_params
        try:
            show = Show(given.get("show", Show.REQUESTS))
        except ValueError:
            raise HTTPException(400, f"show: one of {', '.join(Show)}") from None
        # One more than is shown tells whether there are older ones.
        ids = self._items.latest_operations(show, before=given.get("before", ""), limit=OPERATIONS_SHOWN + 1)
        found = [self._operation(each) for each in ids[:OPERATIONS_SHOWN]]
        older = found[-1].id if len(ids) > OPERATIONS_SHOWN else ""
        return self._pages.show(
            "list.html", operations=found, show=show, shows=list(Show), older=older, later="before" in given
        )

    async def operation(self, request: Request) -> Response:
        """One operation as a tree."""
        found = self._operation(request.path_params["id"])
        if not found.nodes:
            raise HTTPException(404, "no such operation")
        return self._pages.show("operation.html", operation=found)

    async def items(self, request: Request) -> Response:
        """Everything that came, oldest first, or of one `operation` or `type`; `after` continues behind a number."""
        if request.method == "DELETE":
            return json_reply({"deleted": self._items.forget_all()})
        given = request.query_params
        after = given.get("after", "0")
        if not after.isdecimal():
            raise HTTPException(400, "after: a number")
        found = self._items.page(
            operation=given.get("operation", ""), type_=given.get("type", ""), after=int(after), limit=ITEMS_A_PAGE
        )
        return json_reply({"items": found})

    def _operation(self, id_: str) -> Operation:
        return operation_of(id_, self._items.page(operation=id_, type_="", after=0, limit=SPANS_SHOWN))


def _clock(moment: datetime) -> str:
    """To the millisecond, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
