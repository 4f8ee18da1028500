"""A document as stored and as answered, and what may be one."""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from local.emulators.cosmos.containers import Container, Json
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.rids import document_rid

# https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits
ITEM_BYTES_MAX: Final = 2 * 1024 * 1024
ID_BYTES_MAX: Final = 1023
NESTING_MAX: Final = 128
SYSTEM: Final = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")
COLUMNS: Final = "number, id, partition, body, lsn, step, ts, expires_at, place"

_ID_REFUSED = re.compile(r"[/\\#?]")
_LONG_NUMBER = re.compile(rb"\d{16}")
_DOUBLE_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Stored:
    """A document's row.

    :param body: its JSON without system properties
    :param lsn: number of the transaction that wrote it, within the container
    :param step: its place in that transaction
    :param place: its effective partition key
    """

    number: int
    id: str
    partition: str
    body: str
    lsn: int
    step: int
    ts: int
    expires_at: int | None
    place: str

    @property
    def etag(self) -> str:
        """Moves with every write; with its quotes, as on the wire."""
        return f'"{self.lsn:08x}-{self.step:04x}-0000-0000-{self.ts:012x}"'

    @property
    def size(self) -> int:
        """Bytes of JSON."""
        return len(self.body.encode())


def system_properties(container: Container, stored: Stored) -> Json:
    """What Cosmos DB adds to a document (https://learn.microsoft.com/rest/api/cosmos-db/documents)."""
    rid = document_rid(container.database.number, container.number, stored.number)
    return {
        "_rid": rid,
        "_self": f"dbs/{container.database.rid}/colls/{container.rid}/docs/{rid}/",
        "_etag": stored.etag,
        "_attachments": "attachments/",
        "_ts": stored.ts,
    }


def rendered(container: Container, stored: Stored, *, with_lsn: bool = False) -> bytes:
    """The document as answered; its stored JSON need not be read for that."""
    system = system_properties(container, stored)
    if with_lsn:
        system["_lsn"] = stored.lsn
    return stored.body[:-1].encode() + b"," + orjson.dumps(system)[1:]


def whole(container: Container, stored: Stored) -> Json:
    """The document with its system properties, read."""
    body: Json = orjson.loads(stored.body)
    body.update(system_properties(container, stored))
    return body


def parse(data: bytes) -> Json:
    """A document from a request.

    :raises Refused: 400, not a JSON object with a usable id; 413, too large
    """
    if len(data) > ITEM_BYTES_MAX:
        raise Refused(413, "Request size is too large.")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The request payload is invalid: {error}") from None
    if _LONG_NUMBER.search(data):
        body = _as_doubles(body)
    return checked(body)


def checked(body: Any) -> Json:
    """A document without the system properties it may have come with.

    :raises Refused: 400, it has no usable id or time to live
    """
    if not isinstance(body, dict):
        raise Refused(400, "The request payload is invalid: a document is a JSON object.")
    check_id(body.get("id"))
    _check_ttl(body)
    if any(name in body for name in SYSTEM):
        return {name: value for name, value in body.items() if name not in SYSTEM}
    return body


def check_id(text: Any) -> None:
    """Accept an id.

    :raises Refused: 400
    """
    if not isinstance(text, str) or not text or len(text.encode()) > ID_BYTES_MAX or _ID_REFUSED.search(text):
        raise Refused(400, f"The input name {text!r} is invalid: 1 to {ID_BYTES_MAX} bytes, none of / \\ # ?.")


def dumped(body: Json) -> str:
    """The JSON to store.

    :raises Refused: 413, too large; 400, nested too deeply
    """
    text = orjson.dumps(body).decode()
    if len(text) * 4 > ITEM_BYTES_MAX and len(text.encode()) > ITEM_BYTES_MAX:
        raise Refused(413, "Request size is too large.")
    if text.count("[") + text.count("{") > NESTING_MAX and _depth(body) > NESTING_MAX:
        raise Refused(400, f"The document is nested more than {NESTING_MAX} levels deep.")
    return text


def expiry(container: Container, body: Json, ts: int) -> int | None:
    """When the document is over, in seconds since the epoch; None for never.

    https://learn.microsoft.com/azure/cosmos-db/time-to-live: an item's own `ttl` counts only where the container's
    default is on; -1 means never.
    """
    default = container.default_ttl
    if default is None:
        return None
    seconds: int = body.get("ttl", default)
    return None if seconds == -1 else ts + seconds


def _check_ttl(body: Json) -> None:
    if "ttl" not in body:
        return
    seconds = body["ttl"]
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not (seconds == -1 or 0 < seconds < 2**31):
        raise Refused(400, f"The input ttl {seconds!r} is invalid. Ensure to provide a nonzero positive integer or -1.")


def _as_doubles(value: Any) -> Any:
    """Numbers as Cosmos DB keeps them: IEEE 754 doubles, so long integers lose their last digits."""
    match value:
        case dict():
            return {name: _as_doubles(part) for name, part in value.items()}
        case list():
            return [_as_doubles(part) for part in value]
        case bool():
            return value
        case int() if abs(value) > _DOUBLE_EXACT:
            return int(float(value)) if abs(value) < 2**63 else float(value)
        case _:
            return value


def _depth(value: Any) -> int:
    levels, parts = 0, [value]
    while parts:
        levels += 1
        nested = [part for part in parts if isinstance(part, dict | list)]
        parts = [inner for part in nested for inner in (part.values() if isinstance(part, dict) else part)]
    return levels - 1
