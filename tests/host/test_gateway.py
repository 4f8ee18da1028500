"""The product's policies in front of a small app: limits, origins, sizes, headers, the cache, one more try."""

import asyncio
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.host.gateway import INSIGHTS_KEY, SECRETS, SITE, Behind, behind

CALLS: Final = 5
BUSY_TRIES_MAX: Final = 20
SECURITY_HEADERS: Final = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    few = {f"GATEWAY_{name}_CALLS": str(CALLS) for name in ("PERSON", "SERVICE", "WEBHOOK", "REFUSED")}
    with behind(
        tmp_path_factory.mktemp("gateway"), "--pages", "tests.host.apps.pages:pages",
        TESSERA_ANONYMOUS_BROWSING="true", GATEWAY_ADDRESS_CALLS="60", **few,
    ) as running:  # fmt: skip
        yield running


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The members of a refusal by the gateway."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    members: dict[str, object] = answer.json()
    assert (members["type"], members["status"]) == (f"urn:tessera:problem:{code}", status)
    assert members["correlation_id"] == answer.headers["x-correlation-id"]
    return members


def limited(answer: httpx.Response) -> None:
    """That an answer says when to come again."""
    refused(answer, 429, "too-many-requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


# --- limits


def next_refused(client: httpx.Client, path: str) -> httpx.Response:
    """The first answer that is a refusal, after a bucket of 60 was emptied: each second it is refilled by a call."""
    return next(answer for _ in range(600) if (answer := client.get(path)).status_code == 429)


def test_a_person_has_a_limit_of_their_own(gateway: Behind) -> None:
    with gateway.client("127.0.0.11") as client:
        uma, other = gateway.bearer("limited"), gateway.bearer("unharmed")
        statuses = [client.get("/api/account", headers=uma).status_code for _ in range(CALLS)]

        limited(client.get("/api/account", headers=uma))
        limited(client.get("/api/browse", headers=uma))  # one counter, wherever it counts
        assert statuses == [200] * CALLS
        assert client.get("/api/account", headers=other).status_code == 200


def test_another_token_of_the_same_person_counts_with_the_first(gateway: Behind) -> None:
    with gateway.client("127.0.0.12") as client:
        for _ in range(CALLS):
            client.get("/api/account", headers=gateway.bearer("twice"))

        limited(client.get("/api/account", headers=gateway.bearer("twice")))


def test_nobody_uses_up_the_limit_of_somebody_else_with_a_token_that_is_not_theirs(gateway: Behind) -> None:
    with gateway.client("127.0.0.13") as client:
        forged = gateway.bearer("victim", signer="foreign")
        for _ in range(CALLS):
            assert client.get("/api/account", headers=forged).status_code == 401

    with gateway.client("127.0.0.14") as client:
        assert client.get("/api/account", headers=gateway.bearer("victim")).status_code == 200


def service_key(name: str, letter: str = "s") -> dict[str, str]:
    """The header of a well-formed service key with this public id."""
    return {"authorization": f"Bearer tsk_{name:a<26}_{letter * 59}"}


def test_a_service_key_has_a_limit_of_its_own_and_is_left_to_the_function(gateway: Behind) -> None:
    with gateway.client("127.0.0.15") as client:
        key = service_key("one")
        seen = [client.get("/api/account", headers=key).json()["headers"]["authorization"] for _ in range(CALLS)]

        limited(client.get("/api/account", headers={"authorization": key["authorization"].replace("B", "b", 1)}))
        limited(client.get("/api/browse", headers=service_key("one", "t")))  # by its id, whatever comes behind that
        assert seen == [key["authorization"]] * CALLS
        assert client.get("/api/account", headers=service_key("two")).status_code == 200


def test_nobody_uses_up_the_limit_of_a_key_of_which_they_know_only_the_id(gateway: Behind) -> None:
    with gateway.client("127.0.0.34") as client:
        guesses = [client.get("/api/refusing", headers=service_key("known", letter)) for letter in "abcde"]
        assert [answer.status_code for answer in guesses] == [401] * CALLS

    with gateway.client("127.0.0.35") as client:
        for _ in range(CALLS):
            large = client.post("/api/account", content=b"x" * 102_401, headers=service_key("known", "f"))
            assert large.status_code == 413
        assert client.get("/api/account", headers=service_key("known")).status_code == 200


@pytest.mark.parametrize(
    ("last", "path", "well_formed"),
    [(36, "/api/refusing", True), (37, "/api/refusing", False), (38, "/api/private", False)],
    ids=["keys", "what looks like keys", "the insights key"],
)
def test_who_tries_credentials_is_limited_by_address_and_harms_no_bearer_of_a_token_there(
    gateway: Behind, last: int, path: str, well_formed: bool
) -> None:
    def guess(number: int) -> dict[str, str]:
        bearer = f"x{number}" if path == "/api/private" else f"tsk_{number}"
        return service_key("guess", "abcdefg"[number]) if well_formed else {"authorization": f"Bearer {bearer}"}

    with gateway.client(f"127.0.0.{last}") as client:
        tried = [client.get(path, headers=guess(number)).status_code for number in range(CALLS)]

        assert tried == [401] * CALLS
        limited(client.get(path, headers=guess(CALLS)))
        for headers in (gateway.bearer(f"beside{last}"), {}):
            assert client.get("/api/browse?city=beside", headers=headers).status_code == 200
    with gateway.client(f"127.0.1.{last}") as client:
        assert client.get(path, headers=guess(CALLS + 1)).status_code == 401


def test_guesses_at_a_key_count_where_anybody_may_browse_too(gateway: Behind) -> None:
    with gateway.client("127.0.0.39") as client:
        for number in range(CALLS):
            answer = client.get("/api/browse?limit=401", headers=service_key("browse", "abcde"[number]))
            assert answer.status_code == 401

        limited(client.get("/api/browse", headers=service_key("browse")))


@pytest.mark.parametrize(("last", "bearer"), [(16, "Bearer x"), (17, None)], ids=["bad tokens", "no tokens"])
def test_one_phone_shuts_nobody_out_of_the_network_it_is_in(gateway: Behind, last: int, bearer: str | None) -> None:
    headers = {} if bearer is None else {"authorization": bearer}
    with gateway.client(f"127.0.0.{last}") as client:
        for _ in range(CALLS + 2):
            assert client.get("/api/account", headers=headers).status_code == 401

        assert client.get("/api/account", headers=gateway.bearer(f"neighbour{last}")).status_code == 200
        assert client.get("/api/account", headers=service_key(f"neighbour{'ab'[last - 16]}")).status_code == 200


def test_no_credentials_are_not_counted_as_wrong_ones(gateway: Behind) -> None:
    with gateway.client("127.0.0.18") as client:
        for _ in range(CALLS + 2):
            assert client.get("/api/private").status_code == 401

        assert client.get("/api/private", headers={"authorization": f"Bearer {INSIGHTS_KEY}"}).status_code == 200


def test_what_is_accepted_does_not_count_as_tried(gateway: Behind) -> None:
    with gateway.client("127.0.0.20") as client:
        for name in range(CALLS + 2):
            assert client.get("/api/account", headers=gateway.bearer(f"n{name}")).status_code == 200


def test_who_is_not_signed_in_is_limited_by_address(gateway: Behind) -> None:
    with gateway.client("127.0.0.21") as client:
        statuses = [client.get("/api/page").status_code for _ in range(60)]

        limited(next_refused(client, "/api/page"))
        assert statuses == [200] * 60
    with gateway.client("127.0.0.22") as client:
        assert client.get("/api/page").status_code == 200


def test_who_browses_without_a_token_is_limited_by_address_and_who_has_one_is_not(gateway: Behind) -> None:
    with gateway.client("127.0.0.40") as client:
        statuses = [client.get("/api/browse?city=limits").status_code for _ in range(60)]

        limited(next_refused(client, "/api/browse"))
        assert statuses == [200] * 60
        assert client.get("/api/browse", headers=gateway.bearer("browses")).status_code == 200


def test_the_webhook_has_a_limit_of_its_own(gateway: Behind) -> None:
    with gateway.client("127.0.0.23") as client:
        statuses = [client.post("/api/webhook", content=b"{}").status_code for _ in range(CALLS)]

        limited(client.post("/api/webhook", content=b"{}"))
        assert statuses == [200] * CALLS
        assert client.get("/api/page").status_code == 200


# --- origins

PREFLIGHT: Final = {"origin": SITE, "access-control-request-method": "PUT"}


@pytest.mark.parametrize("path", ["/api/account", "/api/browse", "/api/nowhere"])
def test_the_site_may_ask_beforehand(gateway: Behind, path: str) -> None:
    headers = {**PREFLIGHT, "access-control-request-headers": "Authorization, idempotency-key"}
    with gateway.client() as client:
        answer = client.options(path, headers=headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == SITE
    assert "PUT" in answer.headers["access-control-allow-methods"].split(",")
    assert "authorization" in answer.headers["access-control-allow-headers"].split(",")
    assert answer.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"origin": f"{SITE}.evil.example"},
        {"origin": "null"},
        {"access-control-request-method": "TRACE"},
        {"access-control-request-headers": "authorization, x-gateway-secret"},
    ],
    ids=str,
)
def test_others_are_told_nothing_that_a_browser_would_take_for_a_yes(gateway: Behind, changes: dict[str, str]) -> None:
    with gateway.client() as client:
        answer = client.options("/api/account", headers={**PREFLIGHT, **changes})

    assert (answer.status_code, answer.content) == (200, b"")
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


def test_only_the_site_may_read_answers_and_refusals_too(gateway: Behind) -> None:
    with gateway.client("127.0.0.24") as client:
        good = client.get("/api/account", headers={"origin": SITE, **gateway.bearer("site")})
        unknown = client.get("/api/account", headers={"origin": SITE})
        evil = client.get("/api/account", headers={"origin": "https://evil.example", **gateway.bearer("site")})

    for answer, status in ((good, 200), (unknown, 401)):
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, SITE)
        assert "retry-after" in answer.headers["access-control-expose-headers"]
    assert (evil.status_code, "access-control-allow-origin" in evil.headers) == (200, False)
    assert "Origin" in evil.headers["vary"]


def test_a_request_without_a_preflights_headers_is_no_preflight(gateway: Behind) -> None:
    with gateway.client() as client:
        assert client.options("/api/account").status_code == 405
        assert client.options("/api/account", headers={"origin": SITE}).status_code == 405


# --- sizes


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("path", "signed_in"), [("/api/account", True), ("/api/webhook", False)])
def test_a_body_over_the_limit_is_refused_and_one_at_it_arrives(
    gateway: Behind, path: str, signed_in: bool, chunked: bool
) -> None:
    def body(size: int) -> bytes | Iterator[bytes]:
        return iter([b"x" * (size - 1), b"x"]) if chunked else b"x" * size

    with gateway.client("127.0.0.25" if chunked else "127.0.0.26") as client:
        bearer = gateway.bearer(f"size{chunked}") if signed_in else {}
        right = client.post(path, content=body(102_400), headers=bearer)
        large = client.post(path, content=body(102_401), headers=bearer)

    assert (right.status_code, right.json()["bytes"]) == (200, 102_400)
    assert "102400" in str(refused(large, 413, "body-too-large")["detail"])


# --- what every answer carries


async def _busy(gateway: Behind) -> httpx.Response:
    """The host's own 429, as soon as so many were there at once."""
    async with httpx.AsyncClient(base_url=gateway.host.url, limits=httpx.Limits(max_connections=20)) as client:
        for _ in range(BUSY_TRIES_MAX):
            for answer in await asyncio.gather(*(client.get("/api/slow") for _ in range(8))):
                if answer.status_code == 429:
                    return answer
    raise AssertionError("Eight requests at once were never too many.")


def test_every_answer_but_a_preflight_tells_browsers_to_be_careful_and_has_a_correlation_id(gateway: Behind) -> None:
    correlation_id = "mine-0123456789"
    with gateway.client("127.0.0.27", headers={"x-correlation-id": correlation_id}) as client:
        bearer = gateway.bearer("careful")
        answers = {
            200: client.get("/api/account", headers=bearer),
            "a page of the host": client.get("/"),
            "a broken page of the host": client.get("/broken", headers={"origin": SITE}),
            "head": client.head("/api/browse"),
            401: client.get("/api/account"),
            404: client.get("/api/nowhere"),
            405: client.delete("/api/account"),
            413: client.post("/api/webhook", content=b"x" * 200_000),
            500: client.get("/api/broken"),
            503: client.get("/api/troubled?name=careful&fails=9&status=503&after=1"),
            "wrong key": client.get("/api/private"),
            414: client.get("/api/page?" + "a" * 40_000),
            431: client.get("/api/page", headers={"x-long": "a" * 100_000}),
        }
        for _ in range(CALLS):
            client.get("/api/account", headers=bearer)
        answers[429] = client.get("/api/account", headers=bearer)
    answers["too busy"] = busy = asyncio.run(_busy(gateway))

    broken = answers["a broken page of the host"]
    assert (broken.status_code, broken.headers["access-control-allow-origin"]) == (500, SITE)
    assert "the secret" not in broken.text
    assert busy.headers["retry-after"] == "1"
    for name, answer in answers.items():
        if isinstance(name, int):
            assert answer.status_code == name, answer.text
        assert {key: answer.headers[key] for key in SECURITY_HEADERS} == SECURITY_HEADERS, name
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert answer.headers["x-correlation-id"] == correlation_id or name in {"too busy", 414, 431}, name
        assert answer.headers["cache-control"], name
        assert "x-gateway-secret" not in answer.headers, name


@pytest.mark.parametrize("given", ["", "short", "x" * 65, 'a"bcdefgh', "a b c d e f"])
def test_an_ill_formed_correlation_id_is_replaced_for_the_function_too(gateway: Behind, given: str) -> None:
    with gateway.client() as client:
        answer = client.get("/api/page", headers={"x-correlation-id": given})

    made = answer.headers["x-correlation-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert answer.json()["headers"]["x-correlation-id"] == made


def test_the_function_sees_the_newest_secret_whatever_the_caller_sends(gateway: Behind) -> None:
    forged = {"x-gateway-secret": "forged", "x-forwarded-authorization": "Bearer a", "x-ms-client-principal-id": "b"}
    with gateway.client() as client:
        seen = client.get("/api/page", headers=forged).json()["headers"]

    assert seen["x-gateway-secret"] == SECRETS.split(", ")[0]
    assert {"x-forwarded-authorization", "x-ms-client-principal-id"}.isdisjoint(seen)


# --- the cache


def test_who_is_not_signed_in_shares_answers_under_correlation_ids_of_their_own(gateway: Behind) -> None:
    with gateway.client("127.0.0.28") as client:
        first = client.get("/api/browse?city=one", headers={"x-correlation-id": "first-asker"})
        second = client.get("/api/browse?city=one", headers={"x-correlation-id": "second-asker", "origin": SITE})

    assert first.content == second.content
    assert (first.headers["x-correlation-id"], second.headers["x-correlation-id"]) == ("first-asker", "second-asker")
    assert second.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" in second.headers
    assert "access-control-allow-origin" not in first.headers


def test_the_cache_never_serves_one_callers_answer_to_another(gateway: Behind) -> None:
    path = "/api/browse?city=secret"
    with gateway.client("127.0.0.29") as client:
        uma, otto = gateway.bearer("cached-uma"), gateway.bearer("cached-otto")
        answers = [client.get(path, headers=headers) for headers in (uma, otto, {}, uma)]

    times = [answer.json()["times"] for answer in answers]
    assert len(set(times)) == 4, "each was answered by the function"
    assert [answer.json()["headers"].get("authorization") for answer in answers] == [
        uma["authorization"], otto["authorization"], None, uma["authorization"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("city=a&limit=201", {}),
        ("city=b&limit=404", {}),
        ("city=c&q=cookie", {}),
    ],
    ids=["201", "404", "a cookie"],
)
def test_only_plain_successes_are_kept(gateway: Behind, query: str, headers: dict[str, str]) -> None:
    with gateway.client("127.0.0.30") as client:
        first, second = (client.get(f"/api/browse?{query}", headers=headers).json()["times"] for _ in range(2))

    assert first != second


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/browse?city=other", {}),
        ("/api/browse/more?city=vary", {}),
        ("/api/browse?city=vary&city=other", {}),
        ("/api/browse?city=vary&sort=date", {}),
        ("/api/browse?city=vary", {"accept-language": "fr"}),
        ("/api/browse?city=vary", {"accept": "text/html"}),
    ],
    ids=str,
)
def test_what_is_asked_differently_is_answered_anew(gateway: Behind, path: str, headers: dict[str, str]) -> None:
    with gateway.client("127.0.0.31") as client:
        kept = client.get("/api/browse?city=vary").json()["times"]
        client.head("/api/browse?city=vary")

        assert client.get(path, headers=headers).json()["times"] != kept
        assert client.get("/api/browse?city=vary").json()["times"] == kept


# --- one more try


def _tries(client: httpx.Client, method: str, name: str, **query: int) -> tuple[int, int]:
    answer = client.request(method, "/api/troubled", params={"name": name, **query})
    return answer.status_code, answer.json()["times"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_that_no_function_answered_is_tried_once_more(gateway: Behind, status: int) -> None:
    with gateway.client() as client:
        assert _tries(client, "GET", f"once{status}", fails=1, status=status) == (200, 2)


def test_a_read_is_tried_no_more_than_that(gateway: Behind) -> None:
    with gateway.client() as client:
        assert _tries(client, "GET", "always", fails=9, status=503) == (503, 2)


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("POST", {"status": 503}),
        ("PUT", {"status": 502}),
        ("GET", {"status": 500}),
        ("GET", {"status": 429}),
        ("GET", {"status": 503, "after": 1}),
    ],
    ids=str,
)
def test_what_is_no_read_or_was_answered_is_not_tried_again(
    gateway: Behind, method: str, query: dict[str, int]
) -> None:
    with gateway.client() as client:
        name = f"{method}{query}"

        assert _tries(client, method, name, fails=1, **query) == (query["status"], 1)


# --- the private endpoints


def test_the_private_endpoints_want_their_key(gateway: Behind) -> None:
    with gateway.client("127.0.0.32") as client:
        good = client.get("/api/private", headers={"authorization": f"Bearer {INSIGHTS_KEY}"})
        wrong = [{}, {"authorization": f"Bearer {INSIGHTS_KEY}x"}, gateway.bearer("private", roles=["admin"])]
        answers = [client.get("/api/private", headers=headers) for headers in wrong]

    assert good.status_code == 200
    assert [refused(answer, 401, "token-refused")["reason"] for answer in answers] == [
        "HeaderNotFound", "HeaderValueNotAllowed", "HeaderValueNotAllowed",
    ]  # fmt: skip


# --- tokens


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"expires_in": -120}, "TokenExpired"),
        ({"overrides": {"aud": "api://other"}}, "TokenAudienceNotAllowed"),
        ({"overrides": {"iss": "https://login.example/other/v2.0"}}, "TokenIssuerNotAllowed"),
        ({"overrides": {"scp": "tickets.used"}}, "TokenClaimValueNotAllowed"),
        ({"overrides": {"scp": None}}, "TokenClaimNotFound"),
        ({"overrides": {"exp": None}}, "JwtInvalid"),
        ({"signer": "none"}, "JwtInvalid"),
        ({"signer": "confused"}, "JwtInvalid"),
        ({"signer": "foreign"}, "TokenSignatureInvalid"),
    ],
    ids=str,
)
def test_a_wrong_token_does_not_reach_a_function(gateway: Behind, wanted: dict[str, object], reason: str) -> None:
    address = f"127.0.1.{len(reason)}"
    with gateway.client(address) as client:
        answer = client.get("/api/account", headers=gateway.bearer("wrong", **wanted))

    assert refused(answer, 401, "token-refused")["reason"] == reason
    assert answer.headers["www-authenticate"] == "Bearer"


def _segment(part: Any) -> str:
    written = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(written).decode().rstrip("=")


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ({"alg": "RS256", "crit": ["\ud800"], "\ud800": 1}, {}),
        ({"alg": "\ud800", "kid": "a"}, {"iss": "a"}),
        ({"alg": "RS256", "kid": "\ud800"}, {"iss": "\ud800"}),
        ({"alg": ["RS256"], "kid": "a"}, {"iss": "a"}),
        ({"alg": "RS256", "b64": False}, {"iss": "a"}),
        ([1], {}),
        (b"\xff\xfe", {}),
        (b"[" * 4_000, {}),
        (b'{"alg": "RS256", "x": ' + b"9" * 5_000 + b"}", {}),
        ({"alg": "RS256", "kid": "a"}, [1]),
    ],
    ids=lambda part: str(part)[:40].encode("ascii", "backslashreplace").decode(),
)
def test_whatever_a_token_says_of_itself_it_is_refused_in_our_words(
    gateway: Behind, header: object, payload: object
) -> None:
    bearer = f"Bearer {_segment(header)}.{_segment(payload)}.{_segment(b'signature')}"
    with gateway.client(f"127.0.3.{len(bearer) % 250 + 1}") as client:
        answer = client.get("/api/account", headers={"authorization": bearer})

    told = str(refused(answer, 401, "token-refused")["detail"])
    assert told in {
        "JWT cannot be read. Access denied.",
        "JWT is not signed with one of RS256, RS512, PS256. Access denied.",
        "The token comes from an issuer we do not know. Access denied.",
    }
