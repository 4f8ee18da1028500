"""Databases and containers: their definitions, the partition key, and the ranges a container is split into."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.hashing import MAXIMUM, MINIMUM, UNDEFINED, effective_key

Json = dict[str, Any]

PATHS_MAX: Final = 3  # https://learn.microsoft.com/azure/cosmos-db/hierarchical-partition-keys
KEY_BYTES_MAX: Final = 2048  # https://learn.microsoft.com/azure/cosmos-db/concepts-limits
_SPLIT_AT: Final = "1F" + "F" * 30  # version 2 keys begin with 00 to 3F: two ranges of equal width
_PATH = re.compile(r"^(/[A-Za-z_][A-Za-z0-9_]*)+$")
_ID = re.compile(r"^[^/\\#?]{1,255}$")


@dataclass(frozen=True, slots=True)
class Range:
    """A physical partition: the effective partition keys from `low` to below `high`."""

    id: str
    low: str
    high: str


RANGES: Final = (Range("0", MINIMUM, _SPLIT_AT), Range("1", _SPLIT_AT, MAXIMUM))


@dataclass(frozen=True)
class Database:
    """A database as stored."""

    number: int
    id: str
    rid: str
    etag: str
    ts: int

    def document(self) -> Json:
        """The resource as answered."""
        return {
            "id": self.id,
            "_rid": self.rid,
            "_self": f"dbs/{self.rid}/",
            "_etag": self.etag,
            "_colls": "colls/",
            "_users": "users/",
            "_ts": self.ts,
        }


@dataclass(frozen=True)
class Container:
    """A container as stored.

    :param definition: what its maker asked for, checked by `checked`
    """

    number: int
    database: Database
    rid: str
    definition: Json
    etag: str
    ts: int

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.definition["id"])

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The partition key's paths, each as property names from the outside in."""
        return tuple(tuple(path[1:].split("/")) for path in self.definition["partitionKey"]["paths"])

    @property
    def hierarchical(self) -> bool:
        """Whether the partition key has levels."""
        return bool(self.definition["partitionKey"]["kind"] == "MultiHash")

    @property
    def default_ttl(self) -> int | None:
        """Seconds, -1 for "on, no default", None for off."""
        return self.definition.get("defaultTtl")

    @cached_property
    def unique_keys(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Unique keys, each a tuple of paths."""
        keys = self.definition.get("uniqueKeyPolicy", {}).get("uniqueKeys", [])
        return tuple(tuple(tuple(path[1:].split("/")) for path in key["paths"]) for key in keys)

    def document(self) -> Json:
        """The resource as answered."""
        return {
            **self.definition,
            "_rid": self.rid,
            "_ts": self.ts,
            "_self": f"dbs/{self.database.rid}/colls/{self.rid}/",
            "_etag": self.etag,
            "_docs": "docs/",
            "_sprocs": "sprocs/",
            "_triggers": "triggers/",
            "_udfs": "udfs/",
            "_conflicts": "conflicts/",
        }


@dataclass(frozen=True, slots=True)
class Key:
    """A logical partition.

    :param text: its components as canonical JSON
    :param place: its effective partition key
    """

    text: str
    place: str


def key_of(container: Container, components: Sequence[Any]) -> Key:
    """The logical partition of `components`.

    :raises Refused: 400, a component is not a scalar, or together they are too long
    """
    plain = [_plain(component) for component in components]
    text = orjson.dumps(plain).decode()
    if len(text.encode()) > KEY_BYTES_MAX:
        raise Refused(400, f"The partition key has more than {KEY_BYTES_MAX} bytes.")
    return Key(text, effective_key(plain, hierarchical=container.hierarchical))


def key_in(container: Container, body: Json) -> Key:
    """The logical partition a document belongs to by its own properties."""
    return key_of(container, [value_at(body, path, UNDEFINED) for path in container.paths])


def parse_header(container: Container, header: str) -> list[Any]:
    """The components in an `x-ms-documentdb-partitionkey` header.

    :raises Refused: 400, it is not a JSON array with as many components as the container's key has, or fewer
    """
    try:
        components = orjson.loads(header)
    except orjson.JSONDecodeError:
        raise Refused(400, f"Partition key {header} is invalid.") from None
    if not isinstance(components, list) or not 1 <= len(components) <= len(container.paths):
        raise Refused(400, f"Partition key provided either doesn't correspond to definition: {header}.")
    return components


def value_at(body: Any, path: Sequence[str], default: Any) -> Any:
    """The value at `path` in nested objects, or `default`."""
    for name in path:
        if not isinstance(body, dict) or name not in body:
            return default
        body = body[name]
    return body


def check_database(definition: Any) -> str:
    """The id in a database's definition.

    :raises Refused: 400
    """
    name = definition.get("id") if isinstance(definition, dict) else None
    if not isinstance(name, str) or not _ID.match(name):
        raise Refused(400, "The input name is invalid: 1 to 255 characters, none of / \\ # ?.")
    return name


def checked(definition: Any) -> Json:
    """A container's definition with what Cosmos DB fills in.

    :raises Refused: 400 for what it would refuse, 501 for what the emulator lacks
    """
    check_database(definition)
    known = {"id", "partitionKey", "indexingPolicy", "uniqueKeyPolicy", "defaultTtl", "conflictResolutionPolicy"}
    extra = {name for name in definition if name not in known and not name.startswith("_")} - {"geospatialConfig"}
    if extra:
        raise unsupported(f"the container properties {sorted(extra)}")
    _check_ttl(definition.get("defaultTtl"))
    policy = definition.get("indexingPolicy") or {}
    return {
        **{name: definition[name] for name in ("id", "defaultTtl", "uniqueKeyPolicy") if definition.get(name)},
        "indexingPolicy": {
            "indexingMode": "consistent",
            "automatic": True,
            "includedPaths": [{"path": "/*"}],
            "excludedPaths": [{"path": '/"_etag"/?'}],
            **policy,
        },
        "partitionKey": _partition_key(definition.get("partitionKey")),
        "conflictResolutionPolicy": {
            "mode": "LastWriterWins",
            "conflictResolutionPath": "/_ts",
            "conflictResolutionProcedure": "",
        },
        "geospatialConfig": {"type": "Geography"},
    }


def _partition_key(given: Any) -> Json:
    if not isinstance(given, dict) or not isinstance(given.get("paths"), list):
        raise Refused(400, "The partition key definition is missing or has no paths.")
    paths, kind = given["paths"], given.get("kind", "Hash")
    if kind not in {"Hash", "MultiHash"} or not 1 <= len(paths) <= (1 if kind == "Hash" else PATHS_MAX):
        raise Refused(400, f"A partition key has one path, a hierarchical one up to {PATHS_MAX}.")
    for path in paths:
        if not isinstance(path, str) or not _PATH.match(path):
            raise unsupported(f"the partition key path {path!r}")
    if given.get("version", 1) != 2:
        raise unsupported("partition keys of version 1; ask for version 2")
    return {"paths": paths, "kind": kind, "version": 2}


def _check_ttl(seconds: Any) -> None:
    if seconds is not None and (not isinstance(seconds, int) or not (seconds == -1 or seconds > 0)):
        raise Refused(400, "The DefaultTimeToLive must be a positive number of seconds, or -1.")


def _plain(component: Any) -> Any:
    if isinstance(component, float) and component.is_integer():
        return int(component)  # 1 and 1.0 are one number in JSON, so one partition
    if component == UNDEFINED or component is None or isinstance(component, str | int | float):
        return component
    raise Refused(400, "A partition key value is a string, a number, a boolean, null or missing.")
