"""What may be stored, checked alike for every adapter: names, sizes, reserved properties, the partition key."""

import re
from collections.abc import Mapping, Sequence

import orjson

from shared.store.conditions import check_where
from shared.store.port import COMMIT_BYTES_MAX, WRITES_MAX, Create, Json, Patch, Replace, Value, Write

PATCH_OPERATIONS_MAX = 10  # https://learn.microsoft.com/azure/cosmos-db/partial-document-update-faq
ID_CHARACTERS_MAX = 1023  # https://learn.microsoft.com/azure/cosmos-db/concepts-limits
_ID_REFUSED = re.compile(r"[/\\?#]")
_RESERVED = frozenset({"id", "ttl"})
# What json.dumps would refuse, and integers a double cannot hold, must not slip through here and fail on Azure.
_DUMPS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_STRICT_INTEGER


def body_of(value: Value, *, partition_key: str, partition: str) -> str:
    """`value` with its partition-key property, as JSON.

    :raises ValueError: it holds a property that is the store's own, or another partition's key
    """
    return dumps(whole(value, partition_key=partition_key, partition=partition))


def whole(value: Value, *, partition_key: str, partition: str) -> Value:
    """`value` with its partition-key property.

    :raises ValueError: it holds a property that is the store's own, or another partition's key
    """
    for name in value:
        if name in _RESERVED or name.startswith("_"):
            raise ValueError(f"The property {name!r} belongs to the store.")
    if partition_key != "id":
        if value.get(partition_key, partition) != partition:
            raise ValueError(f"{partition_key!r} names another partition than {partition!r}.")
        return {**value, partition_key: partition}
    return value


def own_part(document: Value) -> Value:
    """What we wrote of a document as Cosmos gives it: without `id`, `ttl` and what begins with `_`."""
    return {name: value for name, value in document.items() if name not in _RESERVED and not name.startswith("_")}


def dumps(value: Json) -> str:
    """`value` as JSON text.

    :raises ValueError: it holds something JSON cannot
    """
    try:
        return orjson.dumps(value if isinstance(value, dict) else dict(value), option=_DUMPS).decode()
    except TypeError as error:
        raise ValueError(f"Not JSON: {error}") from error


def check_writes(writes: Sequence[Write], *, partition_key: str, partition: str) -> None:
    """Accept a commit that Cosmos would accept; bodies are checked by `body_of`, their sum by `check_size`.

    :raises ValueError: too few or too many writes, an id Cosmos cannot hold, or an impossible patch
    """
    if not 1 <= len(writes) <= WRITES_MAX:
        raise ValueError(f"A commit has 1 to {WRITES_MAX} writes, not {len(writes)}.")
    if not 1 <= len(partition) <= ID_CHARACTERS_MAX:
        raise ValueError(f"A partition-key value has 1 to {ID_CHARACTERS_MAX} characters.")
    for write in writes:
        check_id(write.id)
        if partition_key == "id" and write.id != partition:
            raise ValueError(f"The partition of {write.id!r} is its own id, not {partition!r}.")
        if isinstance(write, Patch):
            _check_patch(write, partition_key)
        elif isinstance(write, Create | Replace) and write.ttl_seconds is not None and write.ttl_seconds < 1:
            raise ValueError("A time to live is at least one second.")


def check_id(text: str) -> None:
    """Accept an id.

    :raises ValueError: it is empty, too long, or holds a character that Cosmos does not allow
    """
    if not 1 <= len(text) <= ID_CHARACTERS_MAX or _ID_REFUSED.search(text):
        raise ValueError(f"{text!r} cannot be an id: 1 to {ID_CHARACTERS_MAX} characters, none of / \\ ? #.")


def check_size(bodies: Sequence[str]) -> None:
    """Accept bodies that fit into one commit.

    :raises ValueError: together they exceed `COMMIT_BYTES_MAX`
    """
    if sum(map(len, bodies)) * 4 <= COMMIT_BYTES_MAX:  # no character has more than four bytes
        return
    size = sum(len(body.encode()) for body in bodies)
    if size > COMMIT_BYTES_MAX:
        raise ValueError(f"The commit has {size} bytes, more than {COMMIT_BYTES_MAX}.")


def patched(value: dict[str, Json], patch: Patch) -> dict[str, Json]:
    """`value` (changed in place) after the patch's sets and increments.

    :raises ValueError: an increment meets something that is not a number
    """
    value.update(patch.sets)
    for name, step in patch.increments.items():
        present = value.get(name, 0)
        if isinstance(present, bool) or not isinstance(present, int | float):
            raise ValueError(f"{name!r} is not a number and cannot be incremented.")  # noqa: TRY004 - the data, not a caller's type
        value[name] = present + step
    return value


def _check_patch(patch: Patch, partition_key: str) -> None:
    names: Mapping[str, object] = {**patch.sets, **patch.increments}
    operations = len(patch.sets) + len(patch.increments)
    if not 1 <= operations <= PATCH_OPERATIONS_MAX:
        raise ValueError(f"A patch has 1 to {PATCH_OPERATIONS_MAX} operations, not {operations}.")
    for name in names:
        if name in _RESERVED or name.startswith("_") or name == partition_key:
            raise ValueError(f"The property {name!r} cannot be patched.")
    check_where(patch.conditions)
