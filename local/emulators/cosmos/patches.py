"""Partial document update (https://learn.microsoft.com/azure/cosmos-db/partial-document-update)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.emulators.cosmos.containers import Container, Json
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.sql_parser import parse_condition

OPERATIONS_MAX: Final = 10  # https://learn.microsoft.com/azure/cosmos-db/partial-document-update-faq
_KINDS = frozenset({"add", "set", "replace", "remove", "incr"})
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Operation:
    """One change.

    :param path: property names and array positions from the outside in
    """

    kind: str
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Patch:
    """Operations in order, and the condition under which they happen."""

    operations: Sequence[Operation]
    condition: Callable[[Any], Any] | None


def parse_patch(given: Any) -> Patch:
    """A patch from a request.

    :raises Refused: 400, it is malformed or has too many operations; 501, an operation the emulator lacks
    """
    operations = given.get("operations") if isinstance(given, dict) else None
    if not isinstance(operations, list) or not operations:
        raise Refused(400, "The patch has no operations.")
    if len(operations) > OPERATIONS_MAX:
        raise Refused(400, f"The number of patch operations can't exceed '{OPERATIONS_MAX}'.")
    condition = given.get("condition")
    return Patch([_operation(part) for part in operations], None if condition is None else parse_condition(condition))


def patched(body: Json, patch: Patch, container: Container) -> Json:
    """`body` (changed in place) after all operations.

    :raises Refused: 400, an operation cannot be done on this document
    """
    for operation in patch.operations:
        _check_path(operation.path, container)
        _apply(body, operation)
    return body


def _operation(given: Any) -> Operation:
    if not isinstance(given, dict) or not isinstance(given.get("path"), str):
        raise Refused(400, "A patch operation has an op, a path and, unless it removes, a value.")
    kind, path = given.get("op"), given["path"]
    if kind == "move":
        raise unsupported("the patch operation 'move'")
    if kind not in _KINDS:
        raise Refused(400, f"{kind!r} is not a patch operation.")
    if not path.startswith("/") or path == "/":
        raise Refused(400, f"The patch path {path!r} is invalid.")
    if kind != "remove" and "value" not in given:
        raise Refused(400, f"The patch operation on {path!r} has no value.")
    names = tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    return Operation(str(kind), names, given.get("value"))


def _check_path(path: tuple[str, ...], container: Container) -> None:
    """Refuse system properties, the id and the partition key, which a patch cannot change."""
    if path == ("id",) or path[0] in {"_rid", "_self", "_etag", "_attachments", "_ts"}:
        raise Refused(400, f"The property /{'/'.join(path)} cannot be patched.")
    if any(path == key[: len(path)] or key == path[: len(key)] for key in container.paths):
        raise Refused(400, f"The partition key /{'/'.join(path)} cannot be patched.")


def _apply(body: Any, operation: Operation) -> None:
    holder = body
    for name in operation.path[:-1]:
        holder = _inside(holder, name, operation)
    last = operation.path[-1]
    if isinstance(holder, list):
        _apply_to_array(holder, last, operation)
    elif isinstance(holder, dict):
        _apply_to_object(holder, last, operation)
    else:
        raise _impossible(operation, "its parent is neither an object nor an array")


def _apply_to_object(holder: Json, name: str, operation: Operation) -> None:
    match operation.kind:
        case "add" | "set":
            holder[name] = operation.value
        case "incr":
            holder[name] = _incremented(holder.get(name, _MISSING), operation)
        case _ if name not in holder:
            raise _impossible(operation, "there is no such property")
        case "replace":
            holder[name] = operation.value
        case _:
            del holder[name]


def _apply_to_array(holder: list[Any], name: str, operation: Operation) -> None:
    if operation.kind == "add" and name == "-":
        holder.append(operation.value)
        return
    place = _position(name, len(holder) + (operation.kind == "add"), operation)
    match operation.kind:
        case "add":
            holder.insert(place, operation.value)
        case "set" | "replace":
            holder[place] = operation.value
        case "incr":
            holder[place] = _incremented(holder[place], operation)
        case _:
            del holder[place]


def _inside(holder: Any, name: str, operation: Operation) -> Any:
    if isinstance(holder, dict) and name in holder:
        return holder[name]
    if isinstance(holder, list):
        return holder[_position(name, len(holder), operation)]
    raise _impossible(operation, f"there is no {name!r}")


def _position(name: str, bound: int, operation: Operation) -> int:
    if not name.isdecimal() or len(name) > len(str(bound)) or int(name) >= bound:
        raise _impossible(operation, f"{name!r} is not a position in the array")
    return int(name)


def _incremented(present: Any, operation: Operation) -> Any:
    step = operation.value
    if isinstance(step, bool) or not isinstance(step, int | float):
        raise _impossible(operation, "the increment is not a number")
    if present is _MISSING:
        return step
    if isinstance(present, bool) or not isinstance(present, int | float):
        raise _impossible(operation, "the value is not a number")
    return present + step


def _impossible(operation: Operation, why: str) -> Refused:
    return Refused(400, f"Cannot {operation.kind} /{'/'.join(operation.path)}: {why}.")
