"""Indexes of the embedded store, from what the topology declares: without them queries would cost more with history.

Their expressions are built by the same functions as the queries', since SQLite uses an index on an expression only
where the query repeats it to the letter.
"""

import re
from collections.abc import Iterator, Sequence

from shared.store.conditions import order_sql, value_sql
from shared.store.port import OrderBy, Where
from shared.topology import Container, Topology

_NAME = re.compile(r"^[a-z]+$")


def container_sql(name: str) -> str:
    """The term that picks a container: a literal, or SQLite could not prove that a partial index applies."""
    assert _NAME.match(name), "container names are plain words"
    return f"container = '{name}'"


def lookup_hint(topology: Topology, container: str, where: Sequence[Where]) -> str:
    """SQL that makes a cross-partition query use the index of the first condition that has one, or nothing.

    Left to itself SQLite prefers the primary key, which has the wanted order and all of history.
    """
    declared = next(found for found in topology.containers if found.name == container)
    for condition in where:
        if condition.path in declared.looked_up_by:
            return f"INDEXED BY {container}_with_{condition.path}"
        if condition.path in declared.found_by and condition.operator == "=":
            return f"INDEXED BY {container}_of_{condition.path}"
    return ""


def index_schema(topology: Topology) -> str:
    """SQL that makes the declared indexes."""
    return "\n".join(statement for container in topology.containers for statement in _statements(container))


def _statements(container: Container) -> Iterator[str]:
    here = container_sql(container.name)
    for path in container.ordered_by:
        rank, value = order_sql(OrderBy(path))
        yield (
            f"CREATE INDEX IF NOT EXISTS {container.name}_by_{path} "
            f"ON documents (container, partition, {rank}, {value}, id) WHERE {here};"
        )
    for path in container.looked_up_by:
        value = value_sql(path)
        yield (
            f"CREATE INDEX IF NOT EXISTS {container.name}_with_{path} "
            f"ON documents (partition, id) WHERE {here} AND {value} IS NOT NULL;"
        )
    for path in container.found_by:
        value = value_sql(path)
        yield (
            f"CREATE INDEX IF NOT EXISTS {container.name}_of_{path} "
            f"ON documents ({value}, partition, id) WHERE {here} AND {value} IS NOT NULL;"
        )
