"""Runs a query on one scope and answers it page by page."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from local.emulators.cosmos.account import Account
from local.emulators.cosmos.documents import Stored, rendered, whole
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.grouping import grouped_rows
from local.emulators.cosmos.hashing import MINIMUM
from local.emulators.cosmos.indexes import sorts_undefined
from local.emulators.cosmos.scopes import Scope, documents_in
from local.emulators.cosmos.sql_evaluation import FUNCTIONS, Evaluate, compiled, value_of
from local.emulators.cosmos.sql_tree import Binary, Call, Expression, Literal, Parameter, Path, Query
from local.emulators.cosmos.sql_values import UNDEFINED, OrderKey, order_key

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # https://learn.microsoft.com/azure/cosmos-db/concepts-limits
GROUPED_AT_ONCE: Final = 1_000  # items that go into the groups of one page
_START: Final = (MINIMUM, 0)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON, where to go on, and what it took."""

    rows: Sequence[bytes]
    continuation: list[Any] | None
    scanned: int

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return sum(map(len, self.rows))


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with its parameters, and how a page of it is to be.

    :param limit: rows of a page
    :param token_bytes: the size up to which continuation tokens are padded, since a client that says how long they may
        be must be able to take one that is; 0: as short as they are
    """

    text: str
    query: Query
    parameters: Mapping[str, Any]
    limit: int
    token_bytes: int = 0

    @property
    def fingerprint(self) -> str:
        """What a continuation belongs to."""
        named = orjson.dumps([self.text, dict(self.parameters)], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(named).hexdigest()[:16]

    def token(self, state: list[Any]) -> str:
        """A continuation token, opaque to clients."""
        bare = len(orjson.dumps([self.fingerprint, "", *state]))
        padding = " " * (self.token_bytes // 4 * 3 - bare)
        return urlsafe_b64encode(orjson.dumps([self.fingerprint, padding, *state])).decode()

    def opened(self, token: str) -> list[Any]:
        """The state in a continuation token.

        :raises Refused: 400, it is not one of this query
        """
        try:
            fingerprint, _, *state = orjson.loads(urlsafe_b64decode(token))
        except (ValueError, TypeError):
            raise Refused(400, "Invalid continuation token.") from None
        if fingerprint != self.fingerprint:
            raise Refused(400, "The continuation token belongs to another query.")
        return list(state)


def run(account: Account, asked: Asked, scope: Scope, after: list[Any] | None) -> Page:
    """A page of the query.

    :param after: the state the page before left in its continuation
    :raises Refused: 400, it cannot be evaluated, or no index serves its order
    """
    query = asked.query
    where = None if query.where is None else compiled(query.where, asked.parameters)
    matches = _Matches(account, scope, where, _mentioned(query.where))
    if query.grouped:
        return _grouped(asked, matches, after)
    if query.order_by:
        return _sorted(asked, matches, after)
    return _streamed(asked, matches, after)


class _Matches:
    """The documents a condition holds for; counts what was looked at."""

    def __init__(self, account: Account, scope: Scope, where: Evaluate | None, mentioned: tuple[str, ...]) -> None:
        self._account = account
        self.scope = scope
        self._where = where
        self._mentioned = mentioned
        self.scanned = 0

    def after(self, place: tuple[str, int]) -> "Any":
        for stored in documents_in(self._account, self.scope, after=place, mentioning=self._mentioned):
            self.scanned += 1
            item = whole(self.scope.container, stored)
            if self._where is None or self._where(item) is True:
                yield stored, item


def _streamed(asked: Asked, matches: _Matches, after: list[Any] | None) -> Page:
    """Filters and projections: rows in the order of the store, each page where the last one ended."""
    query = asked.query
    place, seen = ((after[0], after[1]), int(after[2])) if after else (_START, 0)
    skip, most = _window(asked)
    project = _projection(asked, matches.scope)
    rows: list[bytes] = []
    size, number = 0, seen
    for stored, item in matches.after(place):
        number += 1
        if number > skip + most:
            return Page(rows, None, matches.scanned)
        row = project(stored, item) if number > skip else None
        if row is not None and rows and (len(rows) == asked.limit or size + len(row) > PAGE_BYTES_MAX):
            return Page(rows, [place[0], place[1], number - 1], matches.scanned)
        place = (stored.place, stored.number)
        if row is not None:
            rows.append(row)
            size += len(row)
    assert query.where is None or matches.scanned >= len(rows)
    return Page(rows, None, matches.scanned)


def _sorted(asked: Asked, matches: _Matches, after: list[Any] | None) -> Page:
    """Rows in the asked order, ties by age; a continuation names how many rows were given and the last one's key."""
    query = asked.query
    with_undefined = sorts_undefined(matches.scope.container, query.order_by)
    keys = [compiled(part.path, {}) for part in query.order_by]
    found: list[tuple[list[OrderKey], Stored, Any]] = []
    for stored, item in matches.after(_START):
        values = [key(item) for key in keys]
        if with_undefined or values[0] is not UNDEFINED:
            found.append(([order_key(value) for value in values], stored, item))
    found.sort(key=lambda entry: entry[1].number)
    for place in reversed(range(len(keys))):
        found.sort(key=lambda entry: entry[0][place], reverse=query.order_by[place].descending)
    start, given = 0, 0
    if after:
        given = int(after[1])
        start = _place_after(found, after[0], query)
    skip, most = _window(asked)
    start += max(0, skip - given) if not after else 0
    project = _projection(asked, matches.scope)
    rows: list[bytes] = []
    size = 0
    room = most - given
    for place in range(start, min(len(found), start + room)):
        _, stored, item = found[place]
        row = project(stored, item)
        if row is None:
            continue
        if rows and (len(rows) == asked.limit or size + len(row) > PAGE_BYTES_MAX):
            last = found[place - 1]
            return Page(rows, [_saved(last[0], last[1]), given + len(rows)], matches.scanned)
        rows.append(row)
        size += len(row)
    return Page(rows, None, matches.scanned)


def _saved(key: list[OrderKey], stored: Stored) -> list[Any]:
    return [key, stored.number]


def _place_after(found: Sequence[tuple[list[OrderKey], Stored, Any]], saved: Any, query: Query) -> int:
    """Where in the order the page goes on, even if the last row has changed or gone meanwhile."""
    raw, number = saved
    last = [(kind, value) for kind, value in raw]
    for place, (key, stored, _) in enumerate(found):
        for ordered, present, before in zip(query.order_by, key, last, strict=True):
            if present != before:
                if (present < before) if ordered.descending else (present > before):
                    return place
                break
        else:
            if stored.number > number:
                return place
    return len(found)


def _grouped(asked: Asked, matches: _Matches, after: list[Any] | None) -> Page:
    """Groups of the next so many items; a group may go on in the next page, for the client to add up.

    A client that expects no continuation gets one answer for an aggregate over everything.
    """
    query = asked.query
    if query.top or query.limit:
        raise unsupported("TOP or OFFSET LIMIT together with an aggregate")
    place = (after[0], after[1]) if after else _START
    source = matches.after(place)
    items = list(islice(source, GROUPED_AT_ONCE + 1)) if query.group_by else list(source)
    more = bool(query.group_by) and len(items) > GROUPED_AT_ONCE
    items = items[:GROUPED_AT_ONCE] if more else items
    rows = grouped_rows(query, asked.parameters, [item for _, item in items])
    last = items[-1][0] if items else None
    going_on = [last.place, last.number, 0] if more and last is not None else None
    return Page([orjson.dumps(row) for row in rows], going_on, matches.scanned)


def _window(asked: Asked) -> tuple[int, int]:
    """How many rows are left out first and how many come then, over all pages."""
    query = asked.query
    skip = 0 if query.offset is None else _whole_number(query.offset, asked)
    bounds = [_whole_number(bound, asked) for bound in (query.top, query.limit) if bound is not None]
    return skip, min(bounds, default=2**62)


def _whole_number(expression: Expression, asked: Asked) -> int:
    value = expression.value if isinstance(expression, Literal) else None
    if isinstance(expression, Parameter):
        value = value_of(expression.name, asked.parameters)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(400, f"{value!r} is not a number of rows.")
    return value


def _projection(asked: Asked, scope: Scope) -> Any:
    """What makes a row of a document; None where SELECT VALUE finds nothing."""
    query = asked.query
    if not query.selected:
        return lambda stored, _: rendered(scope.container, stored)
    parts = [(name, compiled(entry, asked.parameters)) for name, entry in named(query)]
    if query.value:
        only = parts[0][1]
        return lambda _, item: None if (value := only(item)) is UNDEFINED else orjson.dumps(value)
    return lambda _, item: orjson.dumps({name: value for name, part in parts if (value := part(item)) is not UNDEFINED})


def named(query: Query) -> list[tuple[str, Expression]]:
    """The select list with a name for each entry: its own, or `$1`, `$2` and so on."""
    names, number = [], 0
    for entry in query.selected:
        if not entry.alias:
            number += 1
        names.append((entry.alias or f"${number}", entry.expression))
    return names


def _mentioned(where: Expression | None) -> tuple[str, ...]:
    """Names, as written in JSON, of top-level properties that must exist for the condition to hold."""
    match where:
        case Binary("AND", left, right):
            return tuple(dict.fromkeys(_mentioned(left) + _mentioned(right)))
        case Binary(("AND" | "OR"), _, _):
            return ()
        case Binary(_, left, right):
            return _name_of(left) + _name_of(right)
        case Call(name, (first, *_)) if name in FUNCTIONS:
            return _name_of(first)
        case _:
            return ()


def _name_of(expression: Expression) -> tuple[str, ...]:
    match expression:
        case Path((str(first), *_)) if not first.startswith("_"):
            return (orjson.dumps(first).decode() + ":",)
        case _:
            return ()
