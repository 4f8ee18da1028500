"""What a container's indexing policy lets a query sort by (https://learn.microsoft.com/azure/cosmos-db/index-policy)."""

from collections.abc import Iterator, Sequence

from local.emulators.cosmos.containers import Container, Json
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.sql_tree import Ordered

_ALWAYS_INDEXED = frozenset({"/id", "/_ts"})


def sorts_undefined(container: Container, order_by: Sequence[Ordered]) -> bool:
    """Whether items that lack the property sorted by are found as well, if the policy serves the order at all.

    A composite index knows all items. The index of one property knows those that lack it only if the path is included
    explicitly (https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by#remarks).

    :raises Refused: 400, no index serves the order
    """
    policy = container.definition["indexingPolicy"]
    if len(order_by) > 1:
        if not any(_serves(index, order_by) for index in policy.get("compositeIndexes", [])):
            raise Refused(
                400, "The order by query does not have a corresponding composite index that it can be served from."
            )
        return True
    path = _text(order_by[0])
    if path in _ALWAYS_INDEXED:
        return True
    included = {_plain(entry["path"]): entry["path"] for entry in policy.get("includedPaths", [])}
    excluded = {_plain(entry["path"]) for entry in policy.get("excludedPaths", [])}
    if f"{path}/?" in included:
        return True
    if not _included(path, set(included), excluded):
        raise Refused(400, f"The index path corresponding to the specified order-by item {path} is excluded.")
    return False


def indexed_values(container: Container, body: Json) -> int:
    """How many of a document's values the policy has in an index, a composite one counted as another."""
    policy = container.definition["indexingPolicy"]
    included = {_plain(entry["path"]) for entry in policy.get("includedPaths", [])}
    excluded = {_plain(entry["path"]) for entry in policy.get("excludedPaths", [])}
    if not included and not excluded:
        included = {"/*"}
    single = sum(_included(path, included, excluded) for path in _paths(body, ""))
    return single + len(policy.get("compositeIndexes", []))


def _paths(value: object, path: str) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _paths(inner, f"{path}/{name}")
        case list():
            for inner in value:
                yield from _paths(inner, f"{path}/[]")
        case _:
            yield path


def _serves(index: Sequence[dict[str, str]], order_by: Sequence[Ordered]) -> bool:
    """The same paths in the same sequence, with all directions as declared or all reversed."""
    if [_plain(part["path"]) for part in index] != [_text(part) for part in order_by]:
        return False
    agreeing = {
        (part.get("order", "ascending") == "descending") == asked.descending
        for part, asked in zip(index, order_by, strict=True)
    }
    return len(agreeing) == 1


def _included(path: str, included: set[str], excluded: set[str]) -> bool:
    """The most precise of the policy's paths decides: `/?` before `/*`, a deeper path before a higher one."""
    candidates = [f"{path}/?"]
    while path:
        candidates.append(f"{path}/*")
        path = path.rpartition("/")[0]
    candidates.append("/*")
    return next((candidate in included for candidate in candidates if candidate in included | excluded), False)


def _text(ordered: Ordered) -> str:
    return "/" + "/".join(map(str, ordered.path.names))


def _plain(path: str) -> str:
    return path.replace('"', "")
