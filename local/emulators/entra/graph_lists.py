"""`GET /users`: which query options go together, and pages (https://learn.microsoft.com/graph/api/user-list)."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import orjson

from local.emulators.entra.graph_errors import GraphError, not_emulated, unsupported_query
from local.emulators.entra.graph_search import Condition, filtered, searched
from local.emulators.entra.graph_users import principal_name, selected, shown
from local.emulators.entra.users import User
from local.emulators.replies import Json

TOP_DEFAULT, TOP_MAX = 100, 999
_KNOWN = frozenset({"$select", "$top", "$orderby", "$count", "$search", "$filter", "$skiptoken"})
_ORDERS: dict[str, Callable[[User], str]] = {
    "displayName": lambda user: user.name.lower(),
    "userPrincipalName": principal_name,
    "": lambda user: user.id,
}


@dataclass(frozen=True)
class Listing:
    """One `GET /users`, read and found to be in order."""

    options: Mapping[str, str]
    names: tuple[str, ...]
    top: int
    order: str
    descending: bool
    count: bool
    conditions: tuple[Condition, ...]
    after: tuple[str, str] | None

    @classmethod
    def read(cls, options: Mapping[str, str], *, consistency: str) -> Self:
        """From a query and its ConsistencyLevel header.

        :raises GraphError: Graph would refuse it, or this double does not know it
        """
        if "$skip" in options:
            raise unsupported_query("$skip is not supported on this resource.")
        if unknown := options.keys() - _KNOWN:
            raise not_emulated(f"the query option {', '.join(sorted(unknown))}")
        _check_advanced(options, consistency)
        order, _, direction = options.get("$orderby", "").partition(" ")
        if order not in _ORDERS or direction not in {"", "asc", "desc"}:
            raise not_emulated(f"$orderby={options['$orderby']}")
        conditions = (
            *((searched(options["$search"]),) if "$search" in options else ()),
            *((filtered(options["$filter"]),) if "$filter" in options else ()),
        )
        token = options.get("$skiptoken")
        return cls(
            options=options,
            names=selected(options.get("$select")),
            top=_top(options.get("$top", str(TOP_DEFAULT))),
            order=order,
            descending=direction == "desc",
            count=options.get("$count") == "true",
            conditions=conditions,
            after=None if token is None else _opened(token, _bound(options)),
        )

    def page(self, users: list[User], url: str) -> Json:
        """The page of these users, and the link to the next one."""
        key = _ORDERS[self.order]
        found = [user for user in users if all(condition(user) for condition in self.conditions)]
        found.sort(key=lambda user: (key(user), user.id), reverse=self.descending)
        rest = found
        if self.after is not None:
            last = self.after
            behind = [
                ((key(user), user.id) < last) if self.descending else ((key(user), user.id) > last) for user in found
            ]
            rest = [user for user, wanted in zip(found, behind, strict=True) if wanted]
        page = rest[: self.top]
        answer: dict[str, Any] = {"@odata.context": f"{url.removesuffix('/users')}/$metadata#users"}
        if self.count and self.after is None:  # only on the first page: https://learn.microsoft.com/graph/paging
            answer["@odata.count"] = len(found)
        if len(rest) > len(page):
            token = _sealed((key(page[-1]), page[-1].id), _bound(self.options))
            link = {**self.options, "$skiptoken": token}
            answer["@odata.nextLink"] = f"{url}?{urlencode(link, quote_via=quote, safe='$')}"
        return {**answer, "value": [shown(user, self.names) for user in page]}


def made_before(users: list[User], moment: float) -> list[User]:
    """Without those made since: what a list shows before it was brought up to date."""
    return [user for user in users if user.created_at <= moment]


def _check_advanced(options: Mapping[str, str], consistency: str) -> None:
    """https://learn.microsoft.com/graph/aad-advanced-queries"""
    eventual = consistency.lower() == "eventual"
    counted = options.get("$count") == "true"
    if "$search" in options and not eventual:
        raise unsupported_query("Request with $search query parameter only works with ConsistencyLevel: eventual.")
    if "$count" in options and not eventual:
        raise unsupported_query("$count is not currently supported without ConsistencyLevel: eventual.")
    if "$orderby" in options and {"$filter", "$search"} & options.keys() and not (eventual and counted):
        raise unsupported_query("Sorting not supported for current query.")


def _top(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= TOP_MAX:
        raise GraphError(f"Invalid page size specified: '{text}'. Must be between 1 and {TOP_MAX} inclusive.")
    return number


def _bound(options: Mapping[str, str]) -> bytes:
    """What a page belongs to: "do not use the $skiptoken in a different request" (https://learn.microsoft.com/graph/paging)."""
    mine = sorted((name, value) for name, value in options.items() if name != "$skiptoken")
    return hashlib.sha256(orjson.dumps(mine)).digest()[:8]


def _sealed(last: tuple[str, str], bound: bytes) -> str:
    return urlsafe_b64encode(bound + orjson.dumps(last)).rstrip(b"=").decode()


def _opened(token: str, bound: bytes) -> tuple[str, str]:
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        value, identity = orjson.loads(data[len(bound) :])
    except ValueError:
        data, value, identity = b"", "", ""
    if not hmac.compare_digest(data[: len(bound)], bound):
        raise GraphError("The skip token is not of this request.", code="Directory_ExpiredPageToken")
    return str(value), str(identity)
