"""The directory through Microsoft Graph v1.0: accounts of a Microsoft Entra External ID tenant.

The app registration needs the application permissions User.ReadWrite.All and, to delete for good,
User.DeleteRestore.All. A customer's account has an identity of the sign-in type emailAddress, whose issuer is the
tenant's domain (https://learn.microsoft.com/graph/api/user-post-users, example 3).
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

import orjson

from shared.directory.graph_client import Answer, GraphClient, Method
from shared.directory.port import (
    Creation,
    DirectoryBusy,
    DirectoryRefused,
    DirectoryUnavailable,
    DirectoryUser,
    UserPage,
    UserUnknown,
)
from shared.store.continuation import Continuations
from shared.telemetry import Log, count

_SELECT: Final = "id,displayName,mail,identities,accountEnabled,createdDateTime"
_EMAIL: Final = "emailAddress"
_CONFLICTS: Final = frozenset({"ObjectConflict", "ConflictingObjects"})
# Symbols of each kind that a password must have three of; nobody ever types what comes before them.
_COMPLEXITY: Final = "aA1!"
PURGES_MAX: Final = 5  # times that one deletion asks for the deleted account, each pause twice the one before
_PURGED_MAX: Final = 1_000  # ids remembered, so that who is deleted twice is not looked for

_log = Log("directory")


class GraphDirectory:
    """Accounts through Graph.

    :param issuer: the tenant's domain, as its accounts' identities name it, e.g. `tessera.onmicrosoft.com`
    :param continuations: signs where a page ended, so that no other address than the next page's is ever asked
    """

    def __init__(self, client: GraphClient, *, issuer: str, continuations: Continuations) -> None:
        self._client = client
        self._issuer = issuer
        self._continuations = continuations
        self._purged: deque[str] = deque(maxlen=_PURGED_MAX)

    async def close(self) -> None:
        """Give its connections up."""
        await self._client.close()

    async def find(self, text: str, *, limit: int, continuation: str | None = None) -> UserPage:
        """See `Directory.find`."""
        wanted = " ".join(text.split())
        begins = f"directory users {wanted}".encode()
        if continuation is not None:
            return await self._page(str(self._continuations.open(begins, continuation)), begins)
        if _whole_address(wanted):
            found = await self._by_email(wanted)
            if found is not None:
                return UserPage([found], None)
        query = {"$select": _SELECT, "$top": str(limit), "$orderby": "displayName", "$count": "true"}
        search = {"$search": _search(wanted)} if wanted else {}
        return await self._page(_encoded({**query, **search}), begins)

    async def get(self, user_id: str) -> DirectoryUser:
        """See `Directory.get`."""
        answer = await self._ask("GET", f"{_path(user_id)}?{_encoded({'$select': _SELECT})}")
        return _read(answer, self._user)

    async def create(self, *, email: str, name: str) -> Creation:
        """See `Directory.create`."""
        address = email.strip().lower()
        body = {
            "accountEnabled": True,
            "displayName": name,
            "mail": address,
            "identities": [{"signInType": _EMAIL, "issuer": self._issuer, "issuerAssignedId": address}],
            "passwordProfile": {
                "password": secrets.token_urlsafe(32) + _COMPLEXITY,
                "forceChangePasswordNextSignIn": False,
            },
            "passwordPolicies": "DisablePasswordExpiration",  # required of such accounts
        }
        try:
            answer = await self._ask("POST", "/users", body)
        except DirectoryRefused as refusal:
            # An address has one account, so a try whose answer was lost shows as a conflict with what it made.
            return Creation(await self._in_the_way(address, refusal), created=False)
        return Creation(_read(answer, self._user), created=True)

    async def change(self, user_id: str, *, name: str) -> None:
        """See `Directory.change`."""
        await self._ask("PATCH", _path(user_id), {"displayName": name})

    async def disable(self, user_id: str) -> None:
        """See `Directory.disable`."""
        await self._ask("PATCH", _path(user_id), {"accountEnabled": False})

    async def enable(self, user_id: str) -> None:
        """See `Directory.enable`."""
        await self._ask("PATCH", _path(user_id), {"accountEnabled": True})

    async def delete(self, user_id: str) -> None:
        """See `Directory.delete`. A deleted account is kept for 30 days unless it is deleted there too.

        Where deleted ones are kept shows them with a delay. That an account is neither here nor there may thus mean
        that it was deleted just now, by a try before this one, and so it is asked for several times then too.
        """
        if not _is_id(user_id) or user_id in self._purged:
            return
        known = await self._gone(_path(user_id))
        if await self._is_purged(user_id):
            self._purged.append(user_id)
            return
        if known:
            raise DirectoryBusy("The directory has not taken note of the deletion yet; try again shortly.")
        _log.warning("directory_deletion_unseen", user_id=user_id)
        count("directory_deletions_unseen")

    async def revoke_sessions(self, user_id: str) -> None:
        """See `Directory.revoke_sessions`."""
        await self._ask("POST", f"{_path(user_id)}/revokeSignInSessions")

    async def _is_purged(self, user_id: str) -> bool:
        """Delete it where deleted ones are kept; False: it did not show there as long as we asked."""
        path = f"/directory/deletedItems/{user_id}"
        for pause in range(PURGES_MAX - 1):
            if await self._gone(path):
                return True
            await asyncio.sleep(self._client.pause_seconds * 2**pause)
        return await self._gone(path)

    async def _gone(self, path: str) -> bool:
        """Delete it; False: there is none."""
        try:
            await self._ask("DELETE", path)
        except UserUnknown:
            return False
        return True

    async def _in_the_way(self, address: str, refusal: DirectoryRefused) -> DirectoryUser:
        found = await self._by_email(address)
        if found is not None:
            return found
        if refusal.facts["code"] in _CONFLICTS:  # lists follow what is written with a delay
            raise DirectoryBusy("The directory has an account with this address, and does not show it yet.")
        raise refusal

    async def _by_email(self, address: str) -> DirectoryUser | None:
        # https://learn.microsoft.com/graph/api/resources/objectidentity#filtering wants both, in one condition.
        same = f"c/issuerAssignedId eq {_literal(address.lower())} and c/issuer eq {_literal(self._issuer)}"
        query = {"$select": _SELECT, "$filter": f"identities/any(c:{same})"}
        found = _read(await self._ask("GET", f"/users?{_encoded(query)}"), self._users)
        return found[0] if found else None

    async def _page(self, query: str, begins: bytes) -> UserPage:
        answer = await self._ask("GET", f"/users?{query}")
        items = _read(answer, self._users)
        link = answer.data.get("@odata.nextLink")
        if link is None:
            return UserPage(items, None)
        # The whole link counts, not its $skiptoken alone: https://learn.microsoft.com/graph/paging
        beginning = f"{self._client.base}/users?"
        if not str(link).startswith(beginning):
            raise DirectoryUnavailable("The directory's next page is elsewhere; try again shortly.")
        return UserPage(items, self._continuations.sign(begins, str(link).removeprefix(beginning)))

    async def _ask(self, method: Method, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer, if it is a good one.

        :raises UserUnknown: 404
        :raises DirectoryRefused: it will not do it
        """
        answer = await self._client.ask(method, path, None if body is None else orjson.dumps(body))
        if answer.status < 300:
            return answer
        code = _code(answer.data)
        if answer.status == 404:
            raise UserUnknown("The directory has no such account.")
        _log.warning("directory_refused", method=method, status=answer.status, code=code)
        if answer.status == 403 and method == "GET":
            raise DirectoryUnavailable("The directory lets us read nothing; those who run this platform can tell.")
        raise DirectoryRefused("The directory will not do this to this account, or with these values.", code=code)

    def _users(self, data: Mapping[str, Any]) -> list[DirectoryUser]:
        return [self._user(one) for one in data["value"]]

    def _user(self, data: Mapping[str, Any]) -> DirectoryUser:
        """From Graph's JSON (https://learn.microsoft.com/graph/api/resources/user); what it leaves out is null."""
        identities = [one for one in data.get("identities") or [] if one["signInType"] == _EMAIL]
        email = identities[0]["issuerAssignedId"] if identities else data.get("mail") or ""
        created = data.get("createdDateTime")
        return DirectoryUser(
            user_id=str(UUID(data["id"])),
            email=str(email),
            name=str(data["displayName"] or ""),
            # What was just created is shown without what was not asked for, and was created enabled.
            enabled=bool(data.get("accountEnabled", True)),
            created_at=datetime.fromisoformat(created) if created else None,
        )


def _read[T](answer: Answer, read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(answer.data)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # JSON, but of something else's making
        raise DirectoryUnavailable("The directory answers garbage; try again shortly.") from error


def _code(data: Mapping[str, Any]) -> str:
    """The most particular code of an error (https://learn.microsoft.com/graph/errors); messages may change."""
    error = data.get("error")
    error = error if isinstance(error, Mapping) else {}
    details = error.get("details")
    particular = details[0] if isinstance(details, list) and details and isinstance(details[0], Mapping) else {}
    return str(particular.get("code") or error.get("code") or "unknown")[:100]


def _path(user_id: str) -> str:
    """:raises UserUnknown: nothing else than an id, as of an account elsewhere, is ever put into an address"""
    if not _is_id(user_id):
        raise UserUnknown("The directory has no such account.")
    return f"/users/{user_id}"


def _is_id(user_id: str) -> bool:
    try:
        return str(UUID(user_id)) == user_id
    except ValueError:
        return False


def _whole_address(text: str) -> bool:
    name, at, domain = text.partition("@")
    return bool(at and name and "." in domain and " " not in text)


def _search(text: str) -> str:
    r"""Clauses of $search (https://learn.microsoft.com/graph/search-query-parameter): \ and " are escaped; & fails."""
    bare = text.replace("&", " ").replace("\\", "\\\\").replace('"', '\\"')
    return f'"displayName:{bare}" OR "mail:{bare}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _encoded(query: Mapping[str, str]) -> str:
    return urlencode(query, quote_via=quote, safe="$")
