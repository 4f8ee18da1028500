"""Requests that are HTTP, but odd: bodies, numbers, addresses, methods and headers nobody means well with."""

import gzip
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from shared.version import UNPACKAGED
from shared.web.endpoint import BODY_BYTES_MAX
from tests.misuse.probes import chunked, head, still_answers
from tests.support.api import Api, Json, Organiser, venue_body
from tests.support.wire import asked, request

VENUE = json.dumps(venue_body()).encode()


@pytest.fixture(scope="module")
def house(api: Api) -> Organiser:
    return api.organiser("Odd")


def made_of(house: Organiser) -> Json:
    """What the organiser has, drafts and events and venues."""
    return {what: house.owner.get(f"organisers/{house.id}/{what}").json()["items"] for what in ("venues", "events")}


def venue_with(value: bytes) -> bytes:
    """A venue whose name is this."""
    return VENUE.replace(b'"Hall"', value)


BODIES = {
    "UTF-16": (VENUE.decode().encode("utf-16"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + VENUE, 400),
    "invalid UTF-8": (venue_with(b'"\xff"'), 400),
    "a surrogate in UTF-8": (venue_with(b'"\xed\xa0\x80"'), 400),
    "an escaped surrogate": (venue_with(rb'"\ud800"'), 400),
    "an escaped NUL": (venue_with(rb'"\u0000"'), 400),
    "a bare NUL": (venue_with(b'"\x00"'), 400),
    "a hundred thousand arrays": (b"[" * 100_000, 413),
    "sixty thousand arrays": (venue_with(b"[" * 60_000), 400),
    "ten thousand objects": (venue_with(b'{"a":' * 10_000), 400),
    "a number of sixty thousand digits": (venue_with(b"9" * 60_000), 400),
    "an unknown number of sixty thousand digits": (VENUE[:-1] + b', "x": ' + b"9" * 60_000 + b"}", 400),
    "NaN": (venue_with(b"NaN"), 400),
    "two documents": (VENUE * 2, 400),
    "something after the end": (VENUE + b"x", 400),
    "half a document": (VENUE[:-20], 400),
    "a path for a time zone": (VENUE.replace(b"Europe/Zurich", b"../../../etc/localtime"), 400),
    "a country and a line break": (VENUE.replace(b'"CH"', rb'"CH\n"'), 400),
    "one byte too many": (VENUE.ljust(BODY_BYTES_MAX + 1), 413),
}


@pytest.mark.parametrize("in_chunks", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES.keys())
async def test_an_odd_body_is_refused_and_makes_nothing(
    api: Api, house: Organiser, body: bytes, status: int, in_chunks: bool
) -> None:
    before, path = made_of(house), f"/api/organisers/{house.id}/venues"
    asking = {"token": house.owner.token, "headers": {"content-type": "application/json"}}

    if in_chunks:
        asking["headers"] |= {"transfer-encoding": "chunked"}  # type: ignore[operator]  # a dict of two kinds
        answer = await asked(api.stack.url, request("POST", path, **asking) + chunked(body))  # type: ignore[arg-type]
    else:
        answer = await asked(api.stack.url, request("POST", path, **asking, body=body))  # type: ignore[arg-type]

    assert answer is not None
    assert (answer.status, answer.problem()["status"]) == (status, status)
    assert made_of(house) == before
    await still_answers(api.stack.url)


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "1" + "0" * 400, "-0", "-1", "NaN", "Infinity", "10.0", "1e1", '"10"', "true", "1e999999999"],
)  # fmt: skip
def test_a_number_that_is_no_whole_one_in_range_is_refused_by_its_field(house: Organiser, number: str) -> None:
    before = made_of(house)
    body = json.dumps(house.event_body()).replace('"capacity": 10', f'"capacity": {number}')

    answer = house.owner.ask("POST", "events", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] in (["pools.0.capacity"], [""])
    assert made_of(house) == before


def test_of_a_field_that_is_given_twice_the_last_counts(house: Organiser) -> None:
    answer = house.owner.ask(
        "POST", f"organisers/{house.id}/venues", content=VENUE[:-1] + b', "name": "Last"}',
        headers={"content-type": "application/json"},
    )  # fmt: skip

    assert (answer.status_code, answer.json()["name"]) == (201, "Last")


def test_a_compressed_body_is_refused_as_such(house: Organiser) -> None:
    before = made_of(house)

    answer = house.owner.ask(
        "POST", f"organisers/{house.id}/venues", content=gzip.compress(VENUE),
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )  # fmt: skip

    assert (answer.status_code, answer.json()["allowed"]) == (415, "identity")
    assert made_of(house) == before


def test_a_body_over_the_limit_is_refused_whole_and_the_connection_goes_on(api: Api, house: Organiser) -> None:
    path = f"organisers/{house.id}/venues"

    huge = house.owner.ask("POST", path, content=b" " * 5_000_000, headers={"content-type": "application/json"})

    assert huge.status_code == 413
    assert house.owner.get(path).status_code == 200


# --- addresses

ADDRESSES = {
    "/api/events/../organisers": 404,
    "/api/../api/events": 404,
    "/api/%2e%2e/admin/host/status": 404,
    "/api//events": 404,
    "/api/events/%2f": 404,
    "/api/events/a%2fb": 404,
    "/api/events/%252f": 404,
    "/api/events/%00": 404,
    "/api/events/%ff": 404,
    "/api/events/%ed%a0%80": 404,
    "/api/events/%zz": 404,
    "/api/events%3flimit=0": 404,
    "/api/events/..;/x": 404,
    "/api/%EF%BC%A5vents": 404,  # a full-width E, which normalisation would make an ordinary one
    "/api/e%CC%81vents": 404,
    "/%": 404,
    "/api/events/" + "%F0%9F%98%80" * 300: 404,
    "/api/operations/dead-letters/..%2fpayments": 403,
    "/api/events?limit=1&limit=2": 400,
    "/api/events?limit=%00": 400,
    "/api/events?limit=" + "9" * 3_000: 400,
    "/api/events?continuation=%ff%fe": 400,
    "/api/events?continuation=" + "A" * 1_999: 400,
    "/api/events?sort=%00": 400,
    "/api/events?a[]=1": 400,
    "/api/events?from=1e400": 400,
    "/api/events?currency=%D0%95UR": 400,
}


@pytest.mark.parametrize(("address", "status"), ADDRESSES.items(), ids=lambda value: str(value)[:50])
async def test_an_odd_address_leads_nowhere(api: Api, house: Organiser, address: str, status: int) -> None:
    answer = await asked(api.stack.url, request("GET", address, token=house.owner.token))

    assert answer is not None
    assert (answer.status, answer.problem()["status"]) == (status, status)


# --- methods


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "PROPFIND", "PURGE", "DELETE"])
async def test_another_method_is_405_and_says_which_there_are(api: Api, method: str) -> None:
    answer = await asked(api.stack.url, request(method, "/api/events", {"x-secret": "not to be told"}))

    assert answer is not None
    assert (answer.status, answer.problem()["detail"]) == (405, "This path takes GET, HEAD, POST.")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert b"not to be told" not in answer.body


@pytest.mark.parametrize("method", ["CONNECT a:443", "OPTIONS *"])
async def test_an_address_that_is_no_path_is_refused(api: Api, method: str) -> None:
    answer = await asked(api.stack.url, head(f"{method} HTTP/1.1".encode(), b"Host: a"))

    assert answer is not None
    assert answer.problem()["status"] in {400, 404}


async def test_a_header_does_not_change_the_method(api: Api, house: Organiser) -> None:
    person = api.person()
    house.owner.put(f"organisers/{house.id}/members/{person.id}", {"role": "operator"})
    path = f"/api/organisers/{house.id}/members/{person.id}"
    override = {"x-http-method-override": "DELETE", "x-method-override": "DELETE", "x-http-method": "DELETE"}

    answer = await asked(api.stack.url, request("POST", f"{path}?_method=DELETE", override, token=house.owner.token))

    assert answer is not None
    assert answer.status == 405
    assert house.id in api.bearer(person.token).get("me").json()["memberships"]


# --- headers


def encoded(part: Any) -> str:
    """A part of a token."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(text).decode().rstrip("=")


TOKENS = {
    "none": "Bearer",
    "two": "Bearer a b",
    "another scheme": "Basic YTpi",
    "no text": "Bearer \xff\xfe",
    "a space that is none": "Bearer\xa0a",
    "thirty thousand characters": "Bearer " + "a" * 30_000,
    "unsigned": f"Bearer {encoded({'alg': 'none'})}.{encoded({'sub': 'admin'})}.",
    "a deep head": f"Bearer {encoded(b'[' * 5_000)}.e30.AAAA",
    "a deep body": f"Bearer {encoded({'alg': 'RS256'})}.{encoded(b'[' * 5_000)}.AAAA",
    "a list for a head": "Bearer W10.e30.AAAA",
    "a list for a key": f"Bearer {encoded({'alg': 'RS256', 'kid': ['a']})}.e30.AAAA",
    "a list for an algorithm": f"Bearer {encoded({'alg': ['RS256']})}.e30.AAAA",
    "five thousand digits": f"Bearer {encoded(b'{"alg":' + b'9' * 5_000 + b'}')}.e30.AAAA",
    "a surrogate": f"Bearer {encoded({'alg': 'RS256', 'kid': chr(0xD800)})}.{encoded({'iss': chr(0xD800)})}.AAAA",
}


@pytest.mark.parametrize("path", ["/api/me", "/api/insights/events?organiser_id=org_" + "a" * 26])
@pytest.mark.parametrize("authorization", TOKENS.values(), ids=TOKENS.keys())
async def test_an_odd_token_is_no_token(api: Api, authorization: str, path: str) -> None:
    answer = await asked(api.stack.url, request("GET", path, {"authorization": authorization}))

    assert answer is not None
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.problem()["type"] == "urn:tessera:problem:token-refused"


async def test_two_tokens_are_none(api: Api, house: Organiser) -> None:
    token = f"Authorization: Bearer {house.owner.token}".encode()
    data = head(b"GET /api/me HTTP/1.1", b"Host: a", token, b"Authorization: Bearer other")

    answer = await asked(api.stack.url, data)

    assert answer is not None
    assert answer.status == 401


@pytest.mark.parametrize(
    "signature", ["t=1,v1=\xe9", "t=" + "9" * 5_000 + ",v1=a", "t=NaN,v1=a", "t=\xb2,v1=a", "=,=,", "\xff"]
)
async def test_an_odd_signature_is_refused_by_its_name(api: Api, signature: str) -> None:
    data = request("POST", "/api/payments/stripe", {"stripe-signature": signature}, body=b"{}")

    answer = await asked(api.stack.url, data)

    assert answer is not None
    assert (answer.status, answer.problem()["field"]) == (400, "Stripe-Signature")


@pytest.mark.parametrize("key", ["\xff\xfe", "a" * 129, "a b", "clé", "a\tb"])
async def test_an_odd_idempotency_key_is_refused_by_its_name(api: Api, house: Organiser, key: str) -> None:
    before, path = made_of(house), f"/api/organisers/{house.id}/venues"

    answer = await asked(
        api.stack.url, request("POST", path, {"idempotency-key": key}, token=house.owner.token, body=VENUE)
    )

    assert answer is not None
    assert (answer.status, answer.problem()["field"]) == (400, "Idempotency-Key")
    assert made_of(house) == before


@pytest.mark.parametrize(
    "odd",
    [
        {"x-correlation-id": "\xff" * 20},
        {"x-correlation-id": "a" * 20_000},
        {"x-forwarded-host": "evil.example", "x-original-url": "/api/organisers", "x-rewrite-url": "/api/organisers"},
        {"traceparent": "\xff" * 100, "tracestate": "\xe9=1"},
        {"cookie": "a=" + "b" * 20_000},
        {"range": "bytes=0-1"},
        {"te": "trailers, deflate;q=0.5"},
        {"connection": "upgrade", "upgrade": "websocket"},
        {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": "AAMAAABk"},
    ],
    ids=str,
)
async def test_odd_headers_that_mean_nothing_here_change_nothing(api: Api, odd: dict[str, str]) -> None:
    answer = await asked(api.stack.url, request("GET", "/api/health/live", odd))

    assert answer is not None
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "alive", "version": UNPACKAGED})
    assert odd.get("x-correlation-id") != answer.headers["x-correlation-id"]
    await still_answers(api.stack.url)


async def test_a_body_that_would_be_lost_to_an_upgrade_is_refused(api: Api, house: Organiser) -> None:
    path = f"/api/organisers/{house.id}/venues"
    upgrade = {"connection": "upgrade", "upgrade": "h2c"}

    answer = await asked(api.stack.url, request("POST", path, upgrade, token=house.owner.token, body=VENUE))

    assert answer is not None
    assert (answer.status, answer.problem()["detail"].partition(":")[0]) == (
        400,
        "Send a request with a body without Upgrade",
    )
