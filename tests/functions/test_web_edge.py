"""The edge itself: whatever is sent, the answer is a documented one, and it can be found again in the log."""

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import Api, Json, Organiser, Person, fields, new_key, order_body, problem, refusal

LIMIT = 64 * 1024


def send(api: Api, body: bytes, *, path: str = "organisers", **headers: str) -> httpx.Response:
    """POST these very bytes, as an admin."""
    content_type = headers.pop("content_type", "application/json")
    sent = {"content-type": content_type} if content_type else {}
    return api.person("admin").ask("POST", path, content=body, headers={**sent, **headers})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", [""]),
        (b"{", [""]),
        (b"nonsense", [""]),
        (b"null", [""]),
        (b"[]", [""]),
        (b'"text"', [""]),
        (b"\xff\xfe", [""]),
        (b'{"name": "\xff"}', [""]),
        (b'{"name": "\\ud800"}', [""]),
        (b"[" * 30_000, [""]),
        (b'{"name":' * 5_000 + b"1" + b"}" * 5_000, [""]),
        (b"{}", ["name"]),
        (b'{"name": 5}', ["name"]),
        (b'{"name": NaN}', ["name"]),
        (b'{"name": ["A"]}', ["name"]),
        (b'{"name": "A", "owner": "me", "x": 1}', ["owner", "x"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_cannot_be_read_is_refused_by_the_name_of_its_field(
    api: Api, body: bytes, named: list[str]
) -> None:
    assert fields(send(api, body)) == named


def test_a_refused_field_says_what_would_be_accepted(api: Api) -> None:
    assert problem(send(api, orjson.dumps({"name": "x" * 201}))) == {
        "type": "urn:tessera:problem:request-refused",
        "title": "Request refused",
        "status": 400,
        "detail": "The body is not acceptable: look at name.",
        "errors": [
            {"field": "name", "reason": "String should have at most 200 characters", "allowed": "at most 200 long"}
        ],
    }


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        (
            "operations/audit",
            {"month": "2026-13"},
            ("month", "does not have the form that is asked for", "a month as YYYY-MM"),
        ),
        ("events", {"from": "2999-01-01T00:00:00Z"}, ("from", "must lie between", "2000-01-01 to before 2200-01-01")),
        ("events", {"currency": "eur"}, ("currency", "must be in upper case", "EUR")),
        ("events", {"currency": "XXX"}, ("currency", "is none of the values there are", "AUD, BRL")),
        ("events", {"sort": "Date"}, ("sort", "must be in lower case", "date")),
        ("events", {"q": "a b c d e f g h i"}, ("q", "has 9 words", "at most 8 words")),
    ],
    ids=str,
)
def test_a_refused_filter_says_what_would_be_accepted(
    api: Api, path: str, query: Json, told: tuple[str, str, str]
) -> None:
    (error,) = problem(api.person("admin").get(path, **query))["errors"]

    assert error["field"] == told[0]
    assert error["reason"].startswith(told[1])
    assert error["allowed"].startswith(told[2])
    assert error["allowed"] not in error["reason"]


LINE = {"ticket_type_id": "tty_" + "a" * 26, "quantity": 1}
VENUE = {"name": "A", "address": "", "city": "B", "country": "CH", "timezone": "UTC"}
IN_WORDS = [
    ("orders", {"event_id": "evt_1", "lines": [LINE]}, "event_id", "an id as the API gave it, e.g. evt_…"),
    ("orders", {"lines": [LINE]}, "event_id", "a value: it cannot be left out"),
    ("orders", {"event_id": "evt_" + "a" * 26, "lines": [{**LINE, "quantity": "2"}]}, "lines.0.quantity",
     "a whole number, without quotes"),
    ("orders", {"event_id": "evt_" + "a" * 26, "lines": [LINE, LINE]}, "lines",
     "each ticket type once; add the quantities up"),
    ("orders", {"event_id": "evt_" + "a" * 26, "lines": [LINE], "buyer": {"email": "uma"}, "method": "desk"},
     "buyer.email", "a mail address, e.g. uma@tessera.example"),
    ("organisers/{id}/venues", {**VENUE, "timezone": "CEST"}, "timezone",
     "a name of the IANA database, e.g. Europe/Zurich"),
    ("organisers/{id}/venues", {**VENUE, "country": "ch"}, "country",
     "two capital letters, e.g. CH (ISO 3166-1 alpha-2)"),
    ("organisers/{id}/venues", {**VENUE, "name": " "}, "name", "at least one character that can be seen"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "field", "allowed"), IN_WORDS, ids=[each[3] for each in IN_WORDS])
def test_a_refused_field_says_in_words_what_would_be_accepted(
    api: Api, house: Organiser, path: str, body: Json, field: str, allowed: str
) -> None:
    answer = send(api, orjson.dumps(body), path=path.format(id=house.id), **{"idempotency-key": new_key()})

    (error,) = problem(answer)["errors"]
    assert (error["field"], error["allowed"]) == (field, allowed)
    assert "^" not in error["reason"]


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_another_media_type_is_refused(api: Api, media_type: str) -> None:
    assert refusal(send(api, b'{"name": "A"}', content_type=media_type)) == (415, "media-type-unsupported")


def test_media_types_are_compared_without_case_and_parameters(api: Api) -> None:
    assert send(api, b'{"name": "A"}', content_type="Application/JSON; charset=UTF-8").status_code == 201


def test_a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_read(api: Api) -> None:
    at_limit = b'{"name": "A"}'.ljust(LIMIT)

    assert send(api, at_limit).status_code == 201
    assert problem(send(api, at_limit + b" ")) == {
        "type": "urn:tessera:problem:body-too-large",
        "title": "Body too large",
        "status": 413,
        "detail": f"The body is larger than {LIMIT} bytes.",
        "limit_bytes": LIMIT,
    }


def test_a_body_nobody_asked_for_is_bounded_too(api: Api, house: Organiser) -> None:
    path = f"events/{house.draft()['event_id']}/publish"

    assert refusal(send(api, b"x" * (1024 * 1024 + 1), path=path)) == (413, "body-too-large")
    assert send(api, b"x" * 1000, path=path).status_code == 200


def test_the_name_of_an_unknown_field_is_not_repeated_at_any_length(api: Api) -> None:
    answer = send(api, orjson.dumps({"name": "A", "k" * 60_000: 1}))

    assert fields(answer) == ["k" * 200]
    assert len(answer.content) < 1_000


def test_an_unknown_path_is_404_and_another_method_405(api: Api) -> None:
    unknown, other = api.nobody.get("unknown"), api.nobody.ask("PATCH", "events")

    assert problem(unknown) == {
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is nothing at this address.",
    }  # fmt: skip
    assert problem(other) == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "This path takes GET, HEAD, POST.",
    }
    assert other.headers["allow"] == "GET, HEAD, POST"


def test_head_answers_as_get_without_the_body(api: Api) -> None:
    get, head = (api.person().ask(method, "events", params={"limit": 1}) for method in ("GET", "HEAD"))

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert api.nobody.ask("HEAD", "events").status_code == 401
    assert api.nobody.ask("HEAD", "health/live").status_code == 200


def log_events(api: Api, correlation_id: str) -> list[Json]:
    """What the product logged under this id."""
    return [entry for entry in api.logged(correlation_id) if str(entry.get("logger", "")).startswith("tessera.")]


def test_a_correlation_id_given_comes_back_in_header_problem_and_log(api: Api) -> None:
    mine = f"test-{new_key()}"

    success = api.person().ask("GET", "events", headers={"x-correlation-id": mine})
    refused = api.person().ask("GET", "events?limit=0", headers={"x-correlation-id": mine})

    assert (success.status_code, success.headers["x-correlation-id"]) == (200, mine)
    assert (refused.status_code, refused.headers["x-correlation-id"], refused.json()["correlation_id"]) == (
        400,
        mine,
        mine,
    )
    assert [(event["event"], event["code"], event["status"]) for event in log_events(api, mine)] == [
        ("refused", "request-refused", 400)
    ]


@pytest.mark.parametrize("forged", [None, "short", "x" * 65, 'with "quotes" in it', "{}", "a/b/c/d/e/f"])
def test_an_ill_formed_correlation_id_is_replaced(api: Api, forged: str | None) -> None:
    headers = {} if forged is None else {"x-correlation-id": forged}

    person = api.person()
    first, second = (person.ask("GET", "orders/none", headers=headers) for _ in range(2))

    ids = [answer.headers["x-correlation-id"] for answer in (first, second)]
    assert forged not in ids
    assert ids[0] != ids[1]
    assert first.json()["correlation_id"] == ids[0]
    assert [event["code"] for event in log_events(api, ids[0])] == ["not-found"]


def test_answers_are_not_to_be_kept_by_anybody(api: Api) -> None:
    assert api.person().get("me").headers["cache-control"] == "no-store"


# --- whatever anybody may think of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
ODD = SCALARS | st.sampled_from(
    ["evt_" + "a" * 26, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "\0", "\u2028", -1, 0, 2**63, 1e308]
)
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)


def with_one_odd_value(document: Any, odd: Any, place: int) -> Any:
    """`document` with its `place`-th leaf or branch replaced, counted depth first and around."""
    paths = list(paths_of(document))
    path = paths[place % len(paths)]
    copy = orjson.loads(orjson.dumps(document))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = odd
    return copy


def paths_of(document: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    found: list[tuple[Any, ...]] = []
    for step, value in steps:
        found += [(*prefix, step), *paths_of(value, (*prefix, step))]
    return found


def bodies(house: Organiser) -> dict[str, Json]:
    """A good body of every endpoint that reads one."""
    event = house.event()
    return {
        "organisers": {"name": "A"},
        f"organisers/{house.id}/venues": {
            "name": "A", "address": "", "city": "B", "country": "CH", "timezone": "UTC",
        },
        "events": {
            **house.event_body(), "description": "", "category": "x", "image_url": "",
            "ticket_types": [
                {
                    "name": "A", "price": {"amount_minor": 0, "currency": "EUR"}, "pool": "Hall",
                    "maximum_per_order": 5, "on_sale_from": "2026-01-01T00:00:00Z",
                    "on_sale_until": "2100-01-01T00:00:00Z",
                }
            ],
        },
        "orders": order_body(event, buyer={"name": "A", "email": "a@tessera.example"}, method="desk"),
        "check-ins": {"code": "T1.a.b.c.d.e", "nonce": "12345678", "event_id": event["event_id"]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def targets(api: Api) -> list[tuple[str, Json]]:
    return list(bodies(api.organiser("Fuzzed")).items())


@pytest.fixture(scope="module")
def admin(api: Api) -> Person:
    return api.person("admin")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(which=st.integers(0, 4), odd=JSON, place=st.integers(0, 60), whole=st.booleans())
def test_no_body_makes_the_service_fail(
    admin: Person, targets: list[tuple[str, Json]], which: int, odd: Any, place: int, whole: bool
) -> None:
    path, good = targets[which]
    body = odd if whole else with_one_odd_value(good, odd, place)
    try:
        content = orjson.dumps(body)
    except TypeError:  # an integer beyond 64 bits
        content = repr(body).encode()

    answer = admin.ask(
        "POST", path, content=content, headers={"content-type": "application/json", "idempotency-key": new_key()}
    )

    assert answer.status_code < 500, (path, content, answer.text)
    if answer.status_code >= 400:
        problem(answer)
