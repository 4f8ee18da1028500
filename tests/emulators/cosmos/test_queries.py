"""The query language, pages and indexes; each rule with its page."""

from typing import Any

import pytest

from tests.emulators.cosmos.rest import LISTINGS, Rest, ids

QUERY = "https://learn.microsoft.com/azure/cosmos-db/nosql/query"
COMPARED = f"{QUERY}/equality-comparison-operators"
LOGICAL = f"{QUERY}/logical-operators"
CHECKS = f"{QUERY}/type-checking-functions"
STRINGS = f"{QUERY}/string-functions"
SYNTAX = f"{QUERY}/select"
KEYWORDS = f"{QUERY}/keywords"
PAGES = f"{QUERY}/pagination"
GATEWAY = "https://learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api"
INDEXES = "https://learn.microsoft.com/azure/cosmos-db/index-policy"

VALUES: dict[str, Any] = {
    "null": None, "true": True, "false": False, "one": 1, "two": 2, "text": "1", "word": "Jazz", "list": [1],
    "object": {"k": 1},
}  # fmt: skip


async def fill(rest: Rest) -> None:
    """A document of each kind of value, and one without."""
    for name, value in VALUES.items():
        await rest.create({"id": name, "list_id": "public", "v": value})
    await rest.create({"id": "missing", "list_id": "public"})


@pytest.mark.parametrize(
    ("condition", "found", "page"),
    [
        ("c.v = 1", {"one"}, COMPARED),
        ("c.v = 1.0", {"one"}, COMPARED),
        ("c.v = '1'", {"text"}, COMPARED),
        ("c.v = true", {"true"}, COMPARED),
        ("c.v = null", {"null"}, COMPARED),
        ("c.v = [1]", {"list"}, COMPARED),
        ('c.v = {"k": 1}', {"object"}, COMPARED),
        ("c.v != 1", {"two"}, COMPARED),
        ("c.v <> 1", {"two"}, COMPARED),
        ("c.v != 'x'", {"text", "word"}, COMPARED),
        ("c.v < 2", {"one"}, COMPARED),
        ("c.v >= 1", {"one", "two"}, COMPARED),
        ("c.v > '1'", {"word"}, COMPARED),
        ("c.v >= [0]", set(), COMPARED),
        ("c.v > c.nowhere", set(), COMPARED),
        ("0 = 'true'", set(), COMPARED),
        ("NOT (c.v = 1)", {"two"}, LOGICAL),
        ("NOT (c.v = 1 OR c.v = '1')", set(), LOGICAL),
        ("c.v = 1 OR c.v = 'Jazz' AND c.v = 2", {"one"}, LOGICAL),
        ("(c.v = 1 OR c.v = 'Jazz') AND c.v != 2", {"one"}, LOGICAL),
        ("c.v", {"true"}, LOGICAL),
        ("IS_DEFINED(c.v)", set(VALUES), CHECKS),
        ("NOT IS_DEFINED(c.v)", {"missing"}, CHECKS),
        ("IS_STRING(c.v)", {"text", "word"}, CHECKS),
        ("IS_NUMBER(c.v)", {"one", "two"}, CHECKS),
        ("IS_BOOL(c.v)", {"true", "false"}, CHECKS),
        ("is_null(c.v) or IS_ARRAY(c.v) or IS_OBJECT(c.v)", {"null", "list", "object"}, CHECKS),
        ("CONTAINS(c.v, 'az')", {"word"}, STRINGS),
        ("CONTAINS(c.v, 'AZ')", set(), STRINGS),
        ("CONTAINS(c.v, 'AZ', true)", {"word"}, STRINGS),
        ("NOT CONTAINS(c.v, 'az')", {"text"}, STRINGS),
        ("STARTSWITH(c.v, 'J')", {"word"}, STRINGS),
        ("c.v IN (1, 'Jazz')", {"one", "word"}, KEYWORDS),
        ('c["v"]["k"] = 1 or c.v[0] = 1', {"object", "list"}, SYNTAX),
        ("c.v = @p", {"two"}, f"{QUERY}/parameterized-queries"),
    ],
)
async def test_what_a_condition_finds(rest: Rest, condition: str, found: set[str], page: str) -> None:
    await fill(rest)

    answer = await rest.query(f"SELECT * FROM c WHERE {condition}", parameters={"p": 2})

    assert set(ids(answer)) == found, page


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("SELECT", SYNTAX),
        ("SELECT * FROM c WHERE", SYNTAX),
        ("SELECT * FROM c WHERE c.v = ", SYNTAX),
        ("SELECT * FROM c WHERE c.v == 1", SYNTAX),
        ("SELECT * FROM c WHERE (c.v = 1", SYNTAX),
        ("SELECT * FROM c WHERE d.v = 1", SYNTAX),
        ("SELECT * FROM c WHERE c.value = 1", KEYWORDS),
        ("SELECT * FROM c; DROP", SYNTAX),
        ("DELETE FROM c", SYNTAX),
        ("SELECT * FROM c WHERE CONTAINS(c.v)", STRINGS),
        ("SELECT * FROM c ORDER BY 1", f"{QUERY}/order-by"),
        ("SELECT * FROM c OFFSET 1", f"{QUERY}/offset-limit"),
    ],
)
async def test_a_mistake_in_a_query_is_told_with_its_code(rest: Rest, text: str, page: str) -> None:
    answer = await rest.query(text)

    assert answer.status_code == 400, page
    assert "SC1001" in answer.json()["message"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SELECT DISTINCT c.v FROM c", "DISTINCT"),
        ("SELECT * FROM c JOIN t IN c.tags", "JOIN"),
        ("SELECT * FROM c WHERE c.v LIKE 'a%'", "LIKE"),
        ("SELECT * FROM c WHERE c.v BETWEEN 1 AND 2", "BETWEEN"),
        ("SELECT * FROM c WHERE c.v + 1 = 2", "'+'"),
        ("SELECT * FROM c WHERE UPPER(c.v) = 'A'", "UPPER"),
        ("SELECT * FROM c WHERE NOT c.v = 1", "NOT"),
        ("SELECT VALUE SUM(c.v) FROM c", "SUM"),
        ("SELECT * FROM c WHERE EXISTS(SELECT 1 FROM c)", "EXISTS"),
    ],
)
async def test_what_is_not_served_says_so_by_name(rest: Rest, text: str, named: str) -> None:
    answer = await rest.query(text)

    assert (answer.status_code, answer.json()["code"]) == (501, "NotImplemented")
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("text", "rows", "page"),
    [
        ("SELECT c.id, c.v FROM c WHERE c.id = 'one'", [{"id": "one", "v": 1}], SYNTAX),
        ("SELECT c.v AS w, c.nowhere FROM c WHERE c.id = 'one'", [{"w": 1}], SYNTAX),
        ("SELECT VALUE c.v FROM c WHERE c.id IN ('one', 'missing')", [1], SYNTAX),
        ("SELECT VALUE [c.v, c.nowhere] FROM c WHERE c.id = 'one'", [[1]], SYNTAX),
        ("SELECT {'a': c.v} FROM c WHERE c.id = 'one'", [{"$1": {"a": 1}}], SYNTAX),
        ("SELECT x.v FROM root AS x WHERE x.id = 'two'", [{"v": 2}], SYNTAX),
        ("SELECT VALUE COUNT(1) FROM c", [10], f"{QUERY}/count"),
        ("SELECT VALUE COUNT(c.v) FROM c", [9], f"{QUERY}/count"),
        ("SELECT COUNT(1) AS n FROM c WHERE c.v = 17", [{"n": 0}], f"{QUERY}/count"),
        ("SELECT TOP 1 c.id FROM c WHERE IS_NUMBER(c.v) ORDER BY c.id", [{"id": "one"}], f"{QUERY}/select"),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 2 LIMIT 2", ["missing", "null"], f"{QUERY}/offset-limit"),
    ],
)
async def test_what_is_selected(rest: Rest, text: str, rows: list[Any], page: str) -> None:
    await fill(rest)

    answer = await rest.query(text)

    assert answer.json()["Documents"] == rows, page


async def test_groups_are_counted_and_those_without_the_property_are_one(rest: Rest) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/nosql/query/group-by"""
    for number, city in enumerate(["Bern", "Zug", "Bern", None, "Bern"]):
        value = {} if city is None else {"city": city}
        await rest.create({"id": f"d{number}", "list_id": "public", **value})

    answer = await rest.query("SELECT c.city, COUNT(1) AS n FROM c GROUP BY c.city")

    rows = sorted(answer.json()["Documents"], key=lambda row: -row["n"])
    assert rows[0] == {"city": "Bern", "n": 3}
    assert sorted(map(str, rows[1:])) == sorted(map(str, [{"city": "Zug", "n": 1}, {"n": 1}]))


@pytest.mark.parametrize(
    "text",
    ["SELECT c.id, COUNT(1) AS n FROM c GROUP BY c.city", "SELECT c.city FROM c GROUP BY c.city ORDER BY c.city"],
)
async def test_groups_select_only_what_they_group_by_and_have_no_order(rest: Rest, text: str) -> None:
    """group-by#remarks"""
    assert (await rest.query(text)).status_code == 400


async def test_types_are_sorted_in_their_order(rest: Rest) -> None:
    """order-by: null lowest; index-policy#composite-indexes: these know items that lack the property."""
    composite = [[{"path": "/v", "order": "ascending"}, {"path": "/id", "order": "ascending"}]]
    container = await rest.container("sorted", indexingPolicy={"compositeIndexes": composite})
    for name, value in {"t": "text", "n": 5, "m": -1, "f": False, "y": True, "z": None, "a": "Text"}.items():
        await rest.create({"id": name, "list_id": "public", "v": value}, container=container)
    await rest.create({"id": "u", "list_id": "public"}, container=container)

    rising = await rest.query("SELECT * FROM c ORDER BY c.v, c.id", container=container)
    falling = await rest.query("SELECT * FROM c ORDER BY c.v DESC, c.id DESC", container=container)

    assert ids(rising) == ["u", "z", "f", "y", "m", "n", "a", "t"]
    assert ids(falling) == ids(rising)[::-1]


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("c.starts_at, c.id", 200),
        ("c.starts_at DESC, c.id DESC", 200),
        ("c.starts_at ASC, c.id DESC", 400),
        ("c.id, c.starts_at", 400),
        ("c.price_minor, c.id", 200),
        ("c.city, c.id", 400),
        ("c.starts_at, c.name_key, c.id", 400),
        ("c.starts_at", 200),
        ("c.nowhere", 400),
        ("c.id", 200),
        ("c._etag", 400),
    ],
)
async def test_several_properties_need_a_composite_index_of_that_sequence(rest: Rest, order: str, status: int) -> None:
    """The table of https://learn.microsoft.com/azure/cosmos-db/index-policy#order-by-queries-on-multiple-properties"""
    answer = await rest.query(f"SELECT * FROM c ORDER BY {order}")

    assert answer.status_code == status, INDEXES


@pytest.mark.parametrize(
    ("policy", "status", "found"),
    [
        ({}, 200, ["a"]),
        ({"includedPaths": [{"path": "/*"}, {"path": "/v/?"}]}, 200, ["b", "a"]),
        ({"includedPaths": [], "excludedPaths": [{"path": "/*"}]}, 400, []),
        ({"includedPaths": [{"path": "/v/?"}], "excludedPaths": [{"path": "/*"}]}, 200, ["b", "a"]),
        ({"includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/v/*"}]}, 400, []),
    ],
)
async def test_an_order_finds_items_without_the_property_only_if_its_path_is_included(
    rest: Rest, policy: dict[str, Any], status: int, found: list[str]
) -> None:
    """order-by#remarks, and include/exclude precedence of index-policy: the more precise path decides."""
    container = await rest.container("one", indexingPolicy=policy)
    await rest.create({"id": "a", "list_id": "public", "v": 1}, container=container)
    await rest.create({"id": "b", "list_id": "public"}, container=container)

    answer = await rest.query("SELECT * FROM c ORDER BY c.v", container=container)

    assert answer.status_code == status, INDEXES
    assert status == 400 or ids(answer) == found


async def pages(rest: Rest, text: str, *, size: int, between: Any = None, **more: Any) -> list[list[str]]:
    """The ids of each page."""
    found, token = [], ""
    for _ in range(20):
        headers = {"x-ms-max-item-count": str(size), **({"x-ms-continuation": token} if token else {})}
        answer = await rest.query(text, **{**more, "headers": {**more.get("headers", {}), **headers}})
        found.append(ids(answer))
        token = answer.headers.get("x-ms-continuation", "")
        if not token:
            return found
        if between is not None:
            await between()
    raise AssertionError("the query does not end")


@pytest.mark.parametrize(
    "text", ["SELECT * FROM c", "SELECT * FROM c ORDER BY c.starts_at, c.id", "SELECT * FROM c ORDER BY c.id DESC"]
)
async def test_pages_hold_at_most_what_was_asked_for_and_together_all_once(rest: Rest, text: str) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/nosql/query/pagination"""
    for number in range(7):
        await rest.create({"id": f"d{number}", "list_id": "public", "starts_at": number % 2})

    found = await pages(rest, text, size=3)

    assert [len(page) for page in found] == [3, 3, 1], PAGES
    assert len({id_ for page in found for id_ in page}) == 7


async def test_writes_between_pages_neither_repeat_nor_hide_what_did_not_change(rest: Rest) -> None:
    """A continuation is a place in the order (pagination#continuation-tokens), not a number of rows."""
    for number in range(6):
        await rest.create({"id": f"d{number}", "list_id": "public", "starts_at": number})

    async def disturb() -> None:
        await rest.ask("DELETE", f"{LISTINGS}/docs/d0", partition="public")
        await rest.ask("DELETE", f"{LISTINGS}/docs/d1", partition="public")
        await rest.create({"id": "early", "list_id": "public", "starts_at": -1})

    found = await pages(rest, "SELECT * FROM c ORDER BY c.starts_at, c.id", size=2, between=disturb)

    assert found == [["d0", "d1"], ["d2", "d3"], ["d4", "d5"]]


async def test_a_continuation_belongs_to_its_query(rest: Rest) -> None:
    for number in range(3):
        await rest.create({"id": f"d{number}", "list_id": "public"})
    first = await rest.query("SELECT * FROM c", headers={"x-ms-max-item-count": "1"})
    token = first.headers["x-ms-continuation"]

    other = await rest.query("SELECT * FROM c WHERE c.id != 'x'", headers={"x-ms-continuation": token})
    damaged = await rest.query("SELECT * FROM c", headers={"x-ms-continuation": "garbage"})

    assert (other.status_code, damaged.status_code) == (400, 400)


async def test_across_partitions_the_gateway_serves_filters_range_by_range(rest: Rest) -> None:
    """REST page: filters and projections are served; a page may be short or empty though more follow (pagination)."""
    for number in range(12):
        await rest.create({"id": f"d{number}", "list_id": f"list-{number}", "n": number})
    across = {"x-ms-documentdb-query-enablecrosspartition": "True"}

    found = await pages(rest, "SELECT * FROM c WHERE c.n >= 2", size=4, partition=None, headers=across)
    none = await pages(rest, "SELECT * FROM c WHERE c.n > 99", size=4, partition=None, headers=across)

    assert sorted(id_ for page in found for id_ in page) == sorted(f"d{n}" for n in range(2, 12)), GATEWAY
    assert none == [[], []]


@pytest.mark.parametrize(
    ("text", "substatus"),
    [
        ("SELECT * FROM c ORDER BY c.id", "1004"),
        ("SELECT VALUE COUNT(1) FROM c", "1004"),
        ("SELECT TOP 2 * FROM c", "1004"),
        ("SELECT * FROM c OFFSET 1 LIMIT 1", "1004"),
        ("SELECT c.v FROM c GROUP BY c.v", "1004"),
    ],
)
async def test_across_partitions_the_gateway_does_not_serve_what_needs_state(
    rest: Rest, text: str, substatus: str
) -> None:
    answer = await rest.query(text, partition=None, headers={"x-ms-documentdb-query-enablecrosspartition": "True"})

    assert (answer.status_code, answer.headers["x-ms-substatus"]) == (400, substatus), GATEWAY


async def test_a_query_across_partitions_has_to_be_wanted(rest: Rest) -> None:
    assert (await rest.query("SELECT * FROM c", partition=None)).status_code == 400, GATEWAY


async def test_many_items_are_grouped_in_parts_for_the_client_to_add_up(rest: Rest) -> None:
    """pagination: each page is a query execution of its own, so a group may come in parts."""
    for start in range(0, 1_100, 100):
        operations = [
            {"operationType": "Create", "resourceBody": {"id": f"d{n}", "list_id": "public", "odd": str(n % 2)}}
            for n in range(start, start + 100)
        ]
        assert (await rest.batch(operations)).status_code == 200
    text = "SELECT c.odd, COUNT(1) AS n FROM c GROUP BY c.odd"

    first = await rest.query(text)
    second = await rest.query(text, headers={"x-ms-continuation": first.headers["x-ms-continuation"]})

    assert "x-ms-continuation" not in second.headers
    assert sorted(row["n"] for row in first.json()["Documents"]) == [500, 500]
    assert sorted(row["n"] for row in second.json()["Documents"]) == [50, 50]


@pytest.mark.parametrize(
    "condition",
    [
        "NOT " * 5_000 + "c.v",
        "(" * 5_000 + "c.v" + ")" * 5_000,
        "[" * 5_000 + "]" * 5_000,
        "(NOT NOT " * 90 + "c.v" + ")" * 90,
        "c.v = " + "9" * 5_000,
        "c.v = 1e999",
    ],
    ids=["negations", "parentheses", "arrays", "mixed", "digits", "exponent"],
)
async def test_what_is_nested_or_as_long_as_nothing_sensible_is_refused(rest: Rest, condition: str) -> None:
    answer = await rest.query(f"SELECT * FROM c WHERE {condition}")

    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest"), SYNTAX


async def test_conditions_as_deep_as_they_may_be_are_evaluated(rest: Rest) -> None:
    await fill(rest)
    inner = "c.v = 1"
    for _ in range(90):
        inner = f"({inner}) AND true"
    deep = await rest.query(f"SELECT * FROM c WHERE {inner}")
    objects = await rest.query("SELECT VALUE " + '{"a": ' * 91 + "c.v" + "}" * 91 + " FROM c WHERE c.v = 1")

    assert (ids(deep), objects.status_code) == (["one"], 200), SYNTAX


@pytest.mark.parametrize("form", ["AND", "OR", "IN"])
async def test_as_many_conditions_as_fit_into_a_query_are_evaluated(rest: Rest, form: str) -> None:
    """Limits of Cosmos DB are on a query's bytes, not on its conditions (concepts-limits#sql-query-limits)."""
    await fill(rest)
    many = {
        "AND": "c.v = 1" + " AND c.id != 'x'" * 5_000,
        "OR": "c.id = 'x' OR " * 5_000 + "c.v = 1",
        "IN": f"c.v IN ({', '.join(str(number) for number in range(10, 5_010))}, 1)",
    }

    assert ids(await rest.query(f"SELECT * FROM c WHERE {many[form]}")) == ["one"]


async def test_a_continuation_is_as_long_as_its_client_lets_it_be(rest: Rest) -> None:
    """common-cosmosdb-rest-request-headers: x-ms-documentdb-responsecontinuationtokenlimitinkb."""
    await fill(rest)
    kilobytes = "x-ms-documentdb-responsecontinuationtokenlimitinkb"
    headers = {"x-ms-max-item-count": "4"}

    tokens = [
        (await rest.query("SELECT * FROM c", headers={**headers, **limit})).headers["x-ms-continuation"]
        for limit in ({}, {kilobytes: "1"}, {kilobytes: "4"})
    ]
    rest_of = [
        ids(await rest.query("SELECT * FROM c", headers={**headers, "x-ms-continuation": token})) for token in tokens
    ]

    assert [len(token) for token in tokens[1:]] == [1024, 4096]
    assert len(tokens[0]) < 200
    assert len(rest_of[0]) == 4
    assert rest_of[0] == rest_of[1] == rest_of[2]
    for wrong in ("0", "x", "-1", "9" * 5_000):
        refused = await rest.query("SELECT * FROM c", headers={kilobytes: wrong})
        assert refused.status_code == 400
