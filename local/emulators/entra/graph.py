"""Microsoft Graph v1.0 for the people of the directory: users, and where deleted ones are kept.

Each rule has a test that names the page of Microsoft's documentation it comes from (`tests/emulators/test_graph*.py`).
What is not emulated is answered with 501 and the name of what is missing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.database import Database
from local.emulators.entra.clock import Clock
from local.emulators.entra.graph_access import DELETE, DELETE_FOR_GOOD, READ, REVOKE, WRITE, Doorkeeper
from local.emulators.entra.graph_errors import GraphError, new_request_id, not_emulated, not_found, reply
from local.emulators.entra.graph_faults import Fault, Faults, after, before
from local.emulators.entra.graph_lists import Listing, made_before
from local.emulators.entra.graph_users import Change, Creation, read, selected, shown
from local.emulators.entra.passwords import hashed
from local.emulators.entra.users import AddressTaken, User, Users, UserUnknown
from local.emulators.replies import json_reply, read_control

SCHEMA = """
CREATE TABLE IF NOT EXISTS graph_deleted (id TEXT PRIMARY KEY, deleted_at REAL NOT NULL);
"""
KEPT_SECONDS = 30 * 86_400  # https://learn.microsoft.com/graph/api/user-delete
PREFIX = "/v1.0"
ELSEWHERE = f"https://elsewhere.example{PREFIX}"

type Operation = Callable[[Request, Fault | None], Awaitable[Response]]


class Graph:
    """The part of Graph that is emulated, over the directory's own table of users."""

    def __init__(self, database: Database, users: Users, doorkeeper: Doorkeeper, clock: Clock, url: str) -> None:
        """`url` is the address it is reached at: scheme, host and port."""
        self._database = database
        self._users = users
        self._doorkeeper = doorkeeper
        self._clock = clock
        self._root = f"{url}{PREFIX}"
        self._faults = Faults()

    def routes(self) -> list[Route]:
        """The routes below `PREFIX`, and the control of its failures."""
        served: list[tuple[str, str, frozenset[str], Operation]] = [
            ("GET", "/users", READ, self.list),
            ("POST", "/users", WRITE, self.create),
            ("GET", "/users/{id}", READ, self.get),
            ("PATCH", "/users/{id}", WRITE, self.change),
            ("DELETE", "/users/{id}", DELETE, self.delete),
            ("POST", "/users/{id}/revokeSignInSessions", REVOKE, self.revoke),
            ("DELETE", "/directory/deletedItems/{id}", DELETE_FOR_GOOD, self.delete_for_good),
        ]
        known = [
            Route(PREFIX + path, self._endpoint(needs, operation), methods=[method])
            for method, path, needs, operation in served
        ]
        rest = Route(
            PREFIX + "/{rest:path}", self._endpoint(READ, _rest), methods=["GET", "POST", "PATCH", "PUT", "DELETE"]
        )
        return [*known, rest, Route("/_emulator/graph-faults", self.faults, methods=["GET", "POST", "DELETE"])]

    async def faults(self, request: Request) -> Response:
        """Add a rule for failures, or clear them all; answers how many requests were hit so far."""
        if request.method == "POST":
            self._faults.add(await read_control(request, Fault))
        elif request.method == "DELETE":
            self._faults.clear()
        return json_reply({"hits": self._faults.hits})

    async def list(self, request: Request, fault: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-list"""
        options = dict(request.query_params)
        listing = Listing.read(options, consistency=request.headers.get("consistencylevel", ""))
        users = self._users.every()
        if fault is not None and fault.kind == "late":
            users = made_before(users, self._clock.now() - fault.seconds)
        page = listing.page(users, f"{self._root}/users")
        if fault is not None and fault.kind == "elsewhere" and "@odata.nextLink" in page:
            page |= {"@odata.nextLink": page["@odata.nextLink"].replace(self._root, ELSEWHERE)}
        return _done(page)

    async def get(self, request: Request, _: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-get"""
        if unknown := request.query_params.keys() - {"$select"}:
            raise not_emulated(f"the query option {', '.join(sorted(unknown))}")
        names = selected(request.query_params.get("$select"))
        return _done(self._entity(self._existing(request), names))

    async def create(self, request: Request, _: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-post-users"""
        wanted = read(Creation, await request.body()).checked()
        password = await asyncio.to_thread(hashed, wanted.password_profile.password)
        now = self._clock.now()
        try:
            with self._database.transaction():
                user = self._users.add(
                    email=wanted.email, name=wanted.display_name, password=password, verified=True, now=now
                )
                if not wanted.account_enabled:
                    self._users.set_enabled(user.id, False, now=now)
        except AddressTaken:
            raise GraphError(
                "Another object with the same value for property identities already exists.",
                target="identities",
                particular="ObjectConflict",
            ) from None
        return _done(self._entity(user, (*selected(None), "identities")), 201)

    async def change(self, request: Request, _: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-update"""
        wanted, user = read(Change, await request.body()), self._existing(request)
        with self._database.transaction():
            if wanted.display_name is not None:
                self._users.change(user.id, name=wanted.display_name)
            if wanted.account_enabled is not None:
                self._users.set_enabled(user.id, wanted.account_enabled, now=self._clock.now())
        return _done(None)

    async def delete(self, request: Request, _: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-delete: kept for 30 days, among the deleted items."""
        user, now = self._existing(request), self._clock.now()
        with self._database.transaction():
            self._users.delete(user.id)
            self._database.change("DELETE FROM graph_deleted WHERE deleted_at < ?", now - KEPT_SECONDS)
            self._database.change("INSERT INTO graph_deleted VALUES (?, ?)", user.id, now)
        return _done(None)

    async def delete_for_good(self, request: Request, fault: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/directory-deleteditems-delete"""
        identity, now = request.path_params["id"], self._clock.now()
        shown = now - fault.seconds if fault is not None and fault.kind == "late" else now
        delete = "DELETE FROM graph_deleted WHERE id = ? AND deleted_at BETWEEN ? AND ?"
        if not self._database.change(delete, identity, now - KEPT_SECONDS, shown):
            raise not_found(identity)
        return _done(None)

    async def revoke(self, request: Request, _: Fault | None) -> Response:
        """https://learn.microsoft.com/graph/api/user-revokesigninsessions"""
        self._users.revoke_sessions(self._existing(request).id, now=self._clock.now())
        return _done({"@odata.context": f"{self._root}/$metadata#Edm.Boolean", "value": True})

    def _endpoint(self, needs: frozenset[str], operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._doorkeeper.admit(request.headers.get("authorization", ""), needs)
                fault = self._faults.next(request.method, request.url.path)
                instead = await before(fault, str(request.url))
                return instead or after(fault, await operation(request, fault))
            except UserUnknown as gone:  # deleted between two looks
                error = not_found(str(gone))
            except GraphError as refusal:
                error = refusal
            request_id = new_request_id()
            challenge = {"WWW-Authenticate": f'Bearer realm="", error="{error.code}"'} if error.status == 401 else {}
            return reply(error.body(request_id), error.status, request_id, challenge)

        return answer

    def _existing(self, request: Request) -> User:
        identity = request.path_params["id"]
        if "@" in identity:
            raise not_emulated("users by their userPrincipalName")
        user = self._users.get(identity) if _is_id(identity) else None
        if user is None:
            raise not_found(identity)
        return user

    def _entity(self, user: User, names: tuple[str, ...]) -> dict[str, Any]:
        return {"@odata.context": f"{self._root}/$metadata#users/$entity", **shown(user, names)}


async def _rest(request: Request, _: Fault | None) -> Response:
    raise not_emulated(f"{request.method} {request.url.path}")


def _done(value: Any, status: int = 200) -> Response:
    return reply(value, 204 if value is None else status, new_request_id())


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
