"""Queries that the product makes again and again must not cost more with history: each is answered from an index."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.store.conditions import where_sql
from shared.store.embedded import EmbeddedStore, _query_sql
from shared.store.embedded_indexes import lookup_hint
from shared.store.port import OrderBy, Where
from shared.topology import topology

type Explain = Callable[[str, int], str]


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Explain]:
    store = EmbeddedStore(tmp_path / "store.db", topology(), b"s" * 32)
    connection = sqlite3.connect(tmp_path / "store.db")

    def explain(sql: str, parameters: int) -> str:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", ["x"] * parameters).fetchall()
        return "; ".join(row[3] for row in rows)

    yield explain
    connection.close()
    store.close()


@pytest.mark.parametrize(
    ("container", "condition"),
    [
        ("orders", Where("due_at", "<", "2026")),
        ("orders", Where("outbox_since", "<", "2026")),
        ("events", Where("outbox_since", "<", "2026")),
        ("inventory", Where("held_since", "<", "2026")),
        ("inventory", Where("capacity", ">", 0)),
        ("inventory", Where("unaudited", "=", True)),
    ],
)
def test_looking_for_the_few_uses_their_index(plan: Explain, container: str, condition: Where) -> None:
    hint = lookup_hint(topology(), container, [condition])
    told = plan(_query_sql(container, hint, False, (where_sql(condition),), None, False), 3)
    assert f"USING INDEX {container}_with_{condition.path}" in told
    assert "USE TEMP B-TREE" not in told


@pytest.mark.parametrize("continued", [False, True])
def test_finding_ones_own_among_many_seeks_their_value(plan: Explain, continued: bool) -> None:
    condition = Where("person_id", "=", "per_x")
    hint = lookup_hint(topology(), "orders", [condition])
    sql = _query_sql("orders", hint, False, (where_sql(condition),), None, continued)
    told = plan(sql, sql.count("?"))
    assert "USING INDEX orders_of_person_id (<expr>=?" in told
    assert "USE TEMP B-TREE" not in told


@pytest.mark.parametrize(
    ("container", "path", "descending"),
    [
        ("listings", "starts_at", False),
        ("listings", "starts_at", True),
        ("listings", "name_key", False),
        ("listings", "name_key", True),
        ("listings", "price_minor", False),
        ("listings", "price_minor", True),
        ("wallets", "starts_at", True),
        ("insights", "created_at", True),
    ],
)
@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize("filtered", [False, True])
def test_pages_in_order_are_not_sorted_anew(
    plan: Explain, container: str, path: str, descending: bool, continued: bool, filtered: bool
) -> None:
    filters = [Where("city_key", "=", "bern"), Where("price_minor", ">", 5), Where("search", "contains", "jazz")]
    conditions = tuple(map(where_sql, filters)) if filtered else ()
    sql = _query_sql(container, "", True, conditions, OrderBy(path, descending), continued)
    told = plan(sql, sql.count("?"))
    assert f"USING INDEX {container}_by_{path}" in told
    assert "USE TEMP B-TREE" not in told
