"""Partial updates and transactional batches; each rule with its page."""

from typing import Any

import pytest

from tests.emulators.cosmos.rest import LISTINGS, Rest, ids

LEARN = "https://learn.microsoft.com/azure/cosmos-db"
PATCH = f"{LEARN}/partial-document-update"
FAQ = f"{LEARN}/partial-document-update-faq"
BATCH = f"{LEARN}/transactional-batch"
LIMITS = f"{LEARN}/concepts-limits"

BEFORE = {"id": "a", "list_id": "public", "n": 1, "tags": ["x", "y"], "inner": {"k": 1}}


def op(kind: str, path: str, value: Any = None) -> dict[str, Any]:
    return {"op": kind, "path": path, **({} if kind == "remove" else {"value": value})}


async def patched(rest: Rest, *operations: dict[str, Any], condition: str | None = None) -> tuple[int, dict[str, Any]]:
    """The status of a patch of `BEFORE`, and the document after it."""
    await rest.create(BEFORE)
    body = {"operations": list(operations), **({} if condition is None else {"condition": condition})}
    answer = await rest.ask("PATCH", f"{LISTINGS}/docs/a", body, partition="public")
    found = (await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")).json()
    return answer.status_code, {name: value for name, value in found.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        (op("add", "/new", 5), {"new": 5}),
        (op("add", "/n", 5), {"n": 5}),
        (op("add", "/tags/1", "z"), {"tags": ["x", "z", "y"]}),
        (op("add", "/tags/2", "z"), {"tags": ["x", "y", "z"]}),
        (op("add", "/tags/-", "z"), {"tags": ["x", "y", "z"]}),
        (op("set", "/new", [1]), {"new": [1]}),
        (op("set", "/tags/1", "z"), {"tags": ["x", "z"]}),
        (op("set", "/inner/j", 2), {"inner": {"k": 1, "j": 2}}),
        (op("replace", "/n", None), {"n": None}),
        (op("remove", "/tags/0"), {"tags": ["y"]}),
        (op("incr", "/n", 5), {"n": 6}),
        (op("incr", "/n", -1.5), {"n": -0.5}),
        (op("incr", "/new", 3), {"new": 3}),
    ],
)
async def test_each_operation_does_what_its_description_says(
    rest: Rest, operation: dict[str, Any], change: dict[str, Any]
) -> None:
    """The table of https://learn.microsoft.com/azure/cosmos-db/partial-document-update#supported-operations"""
    assert await patched(rest, operation) == (200, {**BEFORE, **change}), PATCH


@pytest.mark.parametrize(
    ("operations", "page"),
    [
        ([op("replace", "/new", 1)], PATCH),
        ([op("remove", "/new")], PATCH),
        ([op("remove", "/tags/2")], PATCH),
        ([op("add", "/tags/3", "z")], PATCH),
        ([op("incr", "/tags", 1)], PATCH),
        ([op("incr", "/n", "1")], PATCH),
        ([op("set", "/nowhere/n", 1)], PATCH),
        ([op("set", "/n", 2), op("remove", "/new")], PATCH),
        ([op("set", "/id", "b")], FAQ),
        ([op("set", "/_ts", 1)], FAQ),
        ([op("set", "/list_id", "other")], FAQ),
        ([op("set", "/n", 2)] * 11, FAQ),
        ([], PATCH),
        ([op("shrink", "/n", 2)], PATCH),
        ([{"op": "set", "path": "/n"}], PATCH),
    ],
)
async def test_a_patch_that_cannot_be_done_is_refused_as_a_whole(
    rest: Rest, operations: list[dict[str, Any]], page: str
) -> None:
    assert await patched(rest, *operations) == (400, BEFORE), page


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("from c where c.n = 1", 200),
        ("FROM c WHERE c.n >= 2", 412),
        ("from c where c.nowhere = 1", 412),
        ("from c where (c.TotalDue = 0 OR NOT IS_DEFINED(c.TotalDue))", 200),
        ('from c where c["inner"]["k"] = 1 and contains(c.tags[0], "x")', 200),
        ("from c where c.n = @p", 400),
        ("from c where", 400),
        ("from c where c.n + 1 = 2", 501),
    ],
)
async def test_a_patch_depends_on_its_condition(rest: Rest, condition: str, status: int) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/partial-document-update#supported-modes, conditional update"""
    after = {**BEFORE, "n": 2} if status == 200 else BEFORE

    assert await patched(rest, op("set", "/n", 2), condition=condition) == (status, after), PATCH


def create(id_: str, **value: Any) -> dict[str, Any]:
    return {"operationType": "Create", "resourceBody": {"id": id_, "list_id": "public", **value}}


async def test_a_batch_answers_for_each_operation(rest: Rest) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/transactional-batch: 200, and results in the order of operations."""
    old = (await rest.create({"id": "old", "list_id": "public", "n": 1})).headers["etag"]
    await rest.create({"id": "gone", "list_id": "public"})

    answer = await rest.batch(
        [
            create("new"),
            {
                "operationType": "Replace",
                "id": "old",
                "resourceBody": {"id": "old", "list_id": "public"},
                "ifMatch": old,
            },
            {"operationType": "Patch", "id": "new", "resourceBody": {"operations": [op("set", "/n", 7)]}},
            {"operationType": "Upsert", "resourceBody": {"id": "up", "list_id": "public"}},
            {"operationType": "Read", "id": "new"},
            {"operationType": "Delete", "id": "gone"},
        ]
    )

    results = answer.json()
    assert answer.status_code == 200, BATCH
    assert [result["statusCode"] for result in results] == [201, 200, 200, 201, 200, 204]
    assert results[4]["resourceBody"]["n"] == 7
    assert results[2]["eTag"] == results[4]["eTag"] == results[4]["resourceBody"]["_etag"] != results[0]["eTag"]
    assert sorted(ids(await rest.query("SELECT * FROM c"))) == ["new", "old", "up"]
    charge = round(sum(result["requestCharge"] for result in results), 2)
    assert float(answer.headers["x-ms-request-charge"]) == charge


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (create("a"), 409),
        (create("first"), 409),
        ({"operationType": "Delete", "id": "nowhere"}, 404),
        ({"operationType": "Delete", "id": "a", "ifMatch": '"0"'}, 412),
        ({"operationType": "Replace", "id": "a", "resourceBody": {"id": "a", "list_id": "x"}}, 400),
        ({"operationType": "Patch", "id": "a", "resourceBody": {"operations": [op("remove", "/no")]}}, 400),
    ],
)
async def test_if_one_operation_fails_nothing_of_the_batch_happens(
    rest: Rest, last: dict[str, Any], status: int
) -> None:
    """transactional-batch: rolled back; the others say 424 (failed dependency), the answer is 207 (multi-status)."""
    await rest.create({"id": "a", "list_id": "public"})

    answer = await rest.batch([create("first"), {"operationType": "Delete", "id": "a"}, create("a"), last])

    assert answer.status_code == 207, BATCH
    assert [result["statusCode"] for result in answer.json()] == [424, 424, 424, status]
    assert ids(await rest.query("SELECT * FROM c")) == ["a"]


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 400), (0, 400)])
async def test_a_batch_has_one_to_a_hundred_operations(rest: Rest, count: int, status: int) -> None:
    """concepts-limits: maximum number of operations in a transactional batch 100."""
    answer = await rest.batch([create(f"d{number}") for number in range(count)])

    assert answer.status_code == status, LIMITS
    found = await rest.query("SELECT VALUE COUNT(1) FROM c")
    assert found.json()["Documents"] == [count if status == 200 else 0]


async def test_a_batch_has_at_most_two_megabytes(rest: Rest) -> None:
    """concepts-limits: maximum request size 2 MB."""
    answer = await rest.batch([create(f"d{number}", text="x" * 300_000) for number in range(8)])

    assert answer.status_code == 413, LIMITS
    assert ids(await rest.query("SELECT * FROM c")) == []


async def test_a_condition_of_three_thousand_parts_is_evaluated_and_one_nested_as_deep_is_refused(rest: Rest) -> None:
    await rest.create({"id": "a", "list_id": "public", "n": 1})
    change = [{"op": "incr", "path": "/n", "value": 1}]

    async def patched(condition: str) -> int:
        body = {"operations": change, "condition": f"FROM c WHERE {condition}"}
        return (await rest.ask("PATCH", f"{LISTINGS}/docs/a", body, partition="public")).status_code

    assert await patched("c.n = 1" + " AND c.n < 9" * 3_000) == 200
    assert await patched("c.n = 1" + " AND c.n < 9" * 3_000) == 412
    assert await patched("NOT " * 3_000 + "c.n") == 400


async def test_a_position_of_five_thousand_digits_is_refused(rest: Rest) -> None:
    await rest.create({"id": "a", "list_id": "public", "many": [1]})
    body = {"operations": [{"op": "set", "path": "/many/" + "9" * 5_000, "value": 1}]}

    answer = await rest.ask("PATCH", f"{LISTINGS}/docs/a", body, partition="public")

    assert answer.status_code == 400
