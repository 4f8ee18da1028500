"""A request as the protocol sees it: which resource, what to do with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote

import orjson

from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.operations import Operation

_KINDS: Final = ("dbs", "colls", "docs")
_BY_METHOD: Final[Mapping[str, Operation]] = {"PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
_SERVED: Final = frozenset({"", "dbs", "colls", "docs", "pkranges"})


@dataclass(frozen=True, slots=True)
class Asking:
    """A request, read.

    :param kind: the resource's type as signatures name it: "" (the account), dbs, colls, docs or pkranges
    :param names: ids on the way to the resource; as many as `kind` is deep if it is about one, one less for a feed
    :param link: the address a signature covers
    """

    method: str
    kind: str
    names: tuple[str, ...]
    link: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def minimal(self) -> bool:
        """Whether the client wants no document in the answer to a write."""
        return self.headers.get("prefer", "").lower() == "return=minimal"

    def flag(self, name: str) -> bool:
        """Whether a header says True."""
        return self.headers.get(name, "").lower() == "true"

    @property
    def container(self) -> str:
        """The container it is about, or an empty string."""
        return self.names[1] if len(self.names) > 1 else ""

    @property
    def operation(self) -> Operation:
        """What is asked for, as faults and usage name it."""
        if self.kind != "docs":
            return "account" if not self.kind else "ranges" if self.kind == "pkranges" else "definition"
        if len(self.names) == 3:
            return _BY_METHOD.get(self.method, "read")
        if self.method == "GET":
            return "feed" if "a-im" in self.headers else "query"
        if self.flag("x-ms-cosmos-is-batch-request"):
            return "batch"
        if self.flag("x-ms-cosmos-is-query-plan-request"):
            return "plan"
        if "query+json" in self.headers.get("content-type", ""):
            return "query"
        return "upsert" if self.flag("x-ms-documentdb-is-upsert") else "create"


@dataclass(slots=True)
class Answer:
    """What goes back.

    :param body: JSON, or nothing
    """

    status: int
    body: bytes = b""
    charge: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


def read(method: str, raw_path: bytes, headers: Mapping[str, str], body: bytes) -> Asking:
    """The request behind a method and a path.

    :raises Refused: 501, a kind of resource the emulator does not serve; 400, no such path
    """
    if not raw_path.isascii():
        raise Refused(400, "The request's path has bytes that no address has.")
    parts = [unquote(part) for part in raw_path.decode("ascii").partition("?")[0].split("/") if part]
    if not parts:
        return Asking(method, "", (), "", headers, body)
    kinds, names = parts[::2], tuple(parts[1::2])
    kind = kinds[-1]
    if kind not in _SERVED:
        raise unsupported(f"the resource {kind!r}")
    expected = (*_KINDS[:2], kind) if kind in {"docs", "pkranges"} else _KINDS[: _KINDS.index(kind) + 1]
    if tuple(kinds) != expected:
        raise Refused(400, f"There is no resource at /{'/'.join(parts)}.")
    about_one = len(names) == len(kinds)
    link = "/".join(parts) if about_one else "/".join(parts[:-1])
    return Asking(method, kind, names, link, headers, body)


def moment_in(date: str) -> datetime:
    """The moment a header tells.

    :raises ValueError: it is not in the format of RFC 1123, or in no time zone (which `-0000` says)
    """
    moment = parsedate_to_datetime(date)
    if moment.tzinfo is None:
        raise ValueError(f"{date!r} tells no time zone.")
    return moment


def as_json(value: Any) -> bytes:
    """JSON."""
    return orjson.dumps(value)
