"""Policies that cannot be executed as they are keep the host from starting, and say where; scopes are put together."""

import json
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from local.host.errors import StartRefused
from local.host.gateway.cache import ENTRIES_MAX, ResponseCache
from local.host.gateway.compiling import Parts
from local.host.gateway.configuration import NamedValue, NamedValues
from local.host.gateway.context import Context
from local.host.gateway.document import read_document
from local.host.gateway.expressions import normal
from local.host.gateway.gateway import Gateway, load_gateway
from local.host.gateway.limiter import RateLimiter
from local.host.gateway.pipeline import Pipeline
from local.host.http import Front
from local.host.pages import host_pages
from local.host.problems import SECURITY_HEADERS
from local.host.process import HostFailed, HostProcess
from local.host.request import Request
from local.host.routes import Routes
from local.host.runtime import Runtime
from local.host.settings import HttpLimits
from local.host.triggers import Functions, HttpFunction
from tests.host.gateway import AUDIENCE, INSIGHTS_KEY, POLICIES, policies

SETTINGS = {"AUTH_AUTHORITIES": "http://127.0.0.1:9/t", "AUTH_AUDIENCE": AUDIENCE, "INSIGHTS_API_KEY": INSIGHTS_KEY}


def front(*known: HttpFunction) -> Front:
    """What is behind the gateway: a host with functions that have no code."""
    functions = Functions((), (), (), ())
    return Front(
        Routes(known, "api"), Runtime(1.0), HttpLimits(), body_bytes_max=1_000, pages=host_pages(functions, None)
    )


def function(name: str) -> HttpFunction:
    return HttpFunction(name, name, "req", None, route=name, methods=frozenset({"GET"}), auth_level="anonymous")


def load(folder: Path, *names: str, **environment: str) -> Gateway:
    functions = tuple(map(function, names))
    return load_gateway(folder, front(*functions), functions, {**SETTINGS, **environment})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return policies(tmp_path / "policies")


def spoil(folder: Path, file: str, old: str, new: str) -> int:
    """Replace a text in a policy, wherever it is; the first line it is in."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


FILTER = '<ip-filter action="allow"><address>127.0.0.1</address></ip-filter>'
_GLOBAL = (POLICIES / "global.xml").read_text()
BACKEND = _GLOBAL[_GLOBAL.index("<backend>") : _GLOBAL.index("</backend>") + len("</backend>")]
STORE = '<cache-store duration="{{cache-seconds}}" />'
SLIPS = {
    "an unknown policy": ("anonymous.xml", "<validate-content ", "<validate-contents "),
    "a policy of another tier": ("anonymous.xml", "<rate-limit-by-key ", "<quota-by-key "),
    "an unknown attribute": ("signed-in.xml", 'require-scheme="Bearer"', 'require-schema="Bearer"'),
    "an attribute that is not executed": ("global.xml", "<forward-request />", '<forward-request timeout="5" />'),
    "an unknown expression": ("anonymous.xml", "context.Request.IpAddress", "context.Request.IpAddres"),
    "another text within an expression": ("anonymous.xml", "&quot;address:&quot;", "&quot;addres:&quot;"),
    "an unknown named value": ("anonymous.xml", "{{body-bytes}}", "{{body-size}}"),
    "a policy where it cannot stand": (
        "private-insights.xml", "<backend>", f"<backend>{FILTER}",
    ),
    "a value that is none of its kind": ("payments-webhook.xml", 'renewal-period="60"', 'renewal-period="301"'),
    "a number that is none": ("public-reads.xml", "{{cache-seconds}}", "soon"),
    "a choice of nothing": ("anonymous.xml", "<outbound>", '<outbound><choose><when condition="true" /></choose>'),
    "an unknown section": ("anonymous.xml", "outbound>", "outbond>"),
    "an unknown element within a policy": ("signed-in.xml", "<audience>", "<audience><x/>"),
    "credentials for other sites": ("global.xml", 'allow-credentials="false"', 'allow-credentials="true"'),
    "every site": ("global.xml", "<origin>{{site-origin}}</origin>", "<origin>*</origin>"),
    "a store that is not always executed": (
        "public-reads.xml", STORE, f'<choose><when condition="true">{STORE}</when></choose>',
    ),
    "origins after something else": (
        "global.xml", "<inbound>", '<inbound><set-variable name="a" value="b" />',
    ),
    "one more cache": ("public-reads.xml", STORE, STORE * 2),
    "a cache that does not look at the query": ("public-reads.xml", "vary-by-query-parameter>", "vary-by-header>"),
    "more than one policy in backend": (
        "anonymous.xml", "<backend>", '<backend><set-variable name="a" value="b" />',
    ),
    "no policy in the outermost backend": ("global.xml", BACKEND, "<backend />"),
    "nothing that asks the functions": ("global.xml", "<forward-request />", '<set-variable name="a" value="b" />'),
    "a status without a reason": ("global.xml", ' reason="Unauthorized"', ""),
    **{
        f"{section} without the policies around": ("anonymous.xml", f"<{section}>\n    <base />", f"<{section}>")
        for section in ("inbound", "backend", "outbound", "on-error")
    },
    "a section that is left out": ("anonymous.xml", "<on-error>\n    <base />\n  </on-error>", ""),
    "the policies around twice": ("anonymous.xml", "<outbound>\n    <base />", "<outbound><base /><base />"),
    "a cache that nothing is put into": (
        "public-reads.xml", STORE, '<set-variable name="a" value="{{cache-seconds}}" />',
    ),
    "a cache that nobody looks into": ("anonymous.xml", "<outbound>", '<outbound><cache-store duration="5" />'),
    "addresses from last to first": (
        "private-insights.xml",
        'from="{{private-from}}" to="{{private-to}}"', 'from="{{private-to}}" to="{{private-from}}"',
    ),
    "addresses from one family to another": ("private-insights.xml", "{{private-from}}", "::1"),
    "an address that is none": ("private-insights.xml", "{{private-from}}", "localhost"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new"), SLIPS.values(), ids=SLIPS.keys())
def test_a_policy_that_cannot_be_executed_is_refused_at_start_by_file(
    folder: Path, file: str, old: str, new: str
) -> None:
    load(folder, "page")
    spoil(folder, file, old, new)

    with pytest.raises(StartRefused, match=rf"^{file}:\d+: "):
        load(folder, "page")


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("anonymous.xml", "<validate-content ", "<mock-response ", "<mock-response> is not one"),
        ("anonymous.xml", '"@(&quot;address:&quot; + ', '"@(&quot;addr:&quot; + ', "is not in the list"),
        ("anonymous.xml", "{{body-bytes}}", "{{bytes}}", "no named value {{bytes}}"),
    ],
)
def test_the_refusal_names_the_line(folder: Path, file: str, old: str, new: str, told: str) -> None:
    line = spoil(folder, file, old, new)

    with pytest.raises(StartRefused) as refused:
        load(folder, "page")

    place, _, message = str(refused.value).partition(": ")
    # An expression may stand some lines below the element that it belongs to.
    assert (place.partition(":")[0], told in message) == (file, True), str(refused.value)
    assert line - 1 <= int(place.partition(":")[2]) <= line


def test_xml_that_is_none_is_refused_by_its_line(folder: Path) -> None:
    line = spoil(folder, "signed-in.xml", "</audiences>", "</audience>")

    with pytest.raises(StartRefused, match=f"^signed-in.xml:{line}: not well-formed"):
        load(folder, "page")


def test_a_function_without_a_policy_is_refused(folder: Path) -> None:
    with pytest.raises(StartRefused, match="gives no policy to brand_new, brand_other"):
        load(folder, "page", "brand_other", "brand_new")


def test_a_function_with_two_policies_is_refused(tmp_path: Path) -> None:
    folder = policies(tmp_path / "two", {"anonymous.xml": ["page"], "signed-in.xml": ["page"]})

    with pytest.raises(StartRefused, match=r"page is below anonymous\.xml and below signed-in\.xml"):
        load(folder, "page")


def changed(tmp_path: Path, **values: Any) -> Path:
    """The policies with other named values."""
    product = json.loads((policies(tmp_path / "product") / "operations.json").read_text())["named_values"]
    return policies(tmp_path / "changed", named_values={**product, **values})


def test_a_named_value_that_no_policy_reads_is_refused(tmp_path: Path) -> None:
    folder = changed(tmp_path, **{"left-over": {"meaning": "nothing", "default": "1"}})

    with pytest.raises(StartRefused, match="no policy reads the named values left-over"):
        load(folder, "page")


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_default_is_refused_as_api_management_refuses_it(tmp_path: Path, empty: str) -> None:
    with pytest.raises(StartRefused, match=r"named_values\.site-origin\.default"):
        load(changed(tmp_path, **{"site-origin": {"meaning": "a site", "default": empty}}), "page")


def test_a_named_value_without_a_value_is_refused_by_its_setting_and_meaning(folder: Path) -> None:
    with pytest.raises(StartRefused, match="AUTH_AUDIENCE: the audience of access tokens"):
        load(folder, "page", AUTH_AUDIENCE="")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"GATEWAY_PERSON_CALLS": "many"}, "calls is “many”"),
        ({"GATEWAY_PERSON_CALLS": "0"}, "calls is “0”"),
        ({"GATEWAY_BODY_BYTES": "102401"}, "max-size is “102401”"),
        ({"TESSERA_ANONYMOUS_BROWSING": "perhaps"}, "it is true or false"),
        ({"AUTH_AUTHORITIES": "http://a, http://b, http://c"}, "more than the 2"),
        ({"AUTH_AUDIENCE": "  "}, "the gateway needs AUTH_AUDIENCE"),
        ({"GATEWAY_SITE_ORIGIN": "tickets.example.org/site"}, "is not an origin"),
    ],
    ids=str,
)
def test_a_setting_that_policies_cannot_take_is_refused(
    folder: Path, environment: Mapping[str, str], told: str
) -> None:
    with pytest.raises(StartRefused, match=told):
        load(folder, "page", **environment)


def test_the_host_does_not_start_and_says_why(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp()\n")
    (app / "host.json").write_text('{"version": "2.0"}')
    spoil(policies(app / "infra" / "policies"), "global.xml", "<cors ", "<corse ")

    with pytest.raises(HostFailed, match=r"Cannot start: global.xml:\d+: "):
        HostProcess.start(app=app, data=tmp_path / "data", environment=SETTINGS)


# --- scopes


async def test_base_is_where_the_policies_around_stand(tmp_path: Path) -> None:
    def written(name: str, inbound: str, outbound: str) -> Path:
        path, around = tmp_path / name, "<forward-request />" if name == "global.xml" else "<base />"
        on_error = "" if name == "global.xml" else "<base />"
        path.write_text(
            f"<policies><inbound>{inbound}</inbound><backend>{around}</backend><outbound>{outbound}</outbound>"
            f"<on-error>{on_error}</on-error></policies>"
        )
        return path

    def step(value: str) -> str:
        return f'<set-header name="x-seen" exists-action="append"><value>{value}</value></set-header>'

    documents = [
        read_document(written("global.xml", step("global"), step("global-out"))),
        read_document(
            written("api.xml", f"{step('api before')}<base />{step('api after')}", f"<base />{step('api-out')}")
        ),
        read_document(written("operation.xml", f"<base />{step('operation')}", f"{step('operation-out')}<base />")),
    ]
    parts = Parts(front(), NamedValues({}, {}), RateLimiter(), ResponseCache(), {})
    context = Context(_request({}))

    await Pipeline(documents, parts).run(context)

    assert context.request.headers["x-seen"] == "api before,global,api after,operation"
    assert [value for name, value in context.headers if name == b"x-seen"] == [
        b"operation-out",
        b"global-out",
        b"api-out",
    ]


def _request(headers: dict[str, str]) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "client": ("127.0.0.1", 1), "headers": raw, "query_string": b""}
    scope["path"] = "/api/x"

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    return Request(scope, receive, "/api/x", Routes((), "api").match("/api/x", "GET"))


def test_white_space_in_an_expression_counts_only_within_texts() -> None:
    assert normal('@( a  +\n " b " )') == normal('@(a+" b ")')
    assert normal('@(a + " ")') != normal('@(a + "")')
    assert normal("@{ var a = b; }") != normal("@{ vara = b; }")


# --- the gateway's own failures

SECURITY = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
THROWS = "@(&quot;Bearer &quot; + (string)context.Variables[&quot;backend-token&quot;])"  # there is no such variable


async def asked(gateway: Gateway, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and members of the answer to a request for `page`."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/api/page", "raw_path": b"/api/page", "query_string": b""}
    await gateway({**scope, "client": ("127.0.0.1", 1), "headers": raw}, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, json.loads(sent[1]["body"])


async def test_a_gateway_that_fails_answers_as_careful_as_ever(folder: Path) -> None:
    spoil(folder, "global.xml", "</inbound>", f'<set-header name="a"><value>{THROWS}</value></set-header></inbound>')

    status, headers, members = await asked(
        load(folder, "page"), origin="http://localhost:8080", x_correlation_id="mine-0123456789"
    )

    assert (status, members["type"], members["status"]) == (500, "urn:tessera:problem:gateway-error", 500)
    assert headers.items() >= {**SECURITY, "cache-control": "no-store", "vary": "Origin"}.items()
    assert headers["access-control-allow-origin"] == "http://localhost:8080"
    assert headers["x-correlation-id"] == members["correlation_id"] == "mine-0123456789"


async def test_what_is_refused_before_it_has_a_correlation_id_gets_one(folder: Path) -> None:
    spoil(folder, "global.xml", 'name="correlation-id"', 'name="another-id"')

    status, headers, members = await asked(load(folder, "page"), content_length="102401")

    assert (status, members["reason"]) == (413, "Bad request")
    assert re.fullmatch("[0-9a-f]{32}", headers["x-correlation-id"])
    assert members["correlation_id"] == headers["x-correlation-id"]


async def test_on_error_says_when_to_come_again_whether_or_not_a_limit_said_so(folder: Path) -> None:
    gateway = load(folder, "page", GATEWAY_ADDRESS_CALLS="1")
    await asked(gateway)
    limited = await asked(gateway)
    spoil(folder, "anonymous.xml", ' retry-after-variable-name="retry-after"', "")
    gateway = load(folder, "page", GATEWAY_ADDRESS_CALLS="1")
    await asked(gateway)
    silent = await asked(gateway)

    assert (limited[0], limited[1]["retry-after"]) == (429, "60")
    assert (silent[0], silent[1]["retry-after"]) == (429, "5")


async def test_where_on_error_fails_too_the_answer_is_still_a_problem_with_security_headers(folder: Path) -> None:
    step = f'<set-header name="a"><value>{THROWS}</value></set-header>'
    spoil(folder, "global.xml", "</inbound>", f"{step}</inbound>")
    spoil(folder, "global.xml", "<on-error>", f"<on-error>{step}")

    status, headers, members = await asked(load(folder, "page"))

    assert (status, members["status"]) == (500, 500)
    assert headers.items() >= SECURITY.items()


def test_what_is_answered_without_policies_has_the_security_headers_of_the_policies() -> None:
    outbound = read_document(POLICIES / "global.xml").only("outbound")
    assert outbound is not None
    set_there = {child.attributes["name"].lower(): child.children[0].text for child in outbound.children}

    assert {name: set_there[name] for name in SECURITY} == SECURITY
    assert set_there.keys() - SECURITY.keys() == {"x-correlation-id", "vary", "cache-control"}


# --- limits and the cache, by a clock of their own


def test_after_the_time_that_is_told_a_call_is_accepted_and_not_a_second_before() -> None:
    limiter, now = RateLimiter(), 1_000.0
    assert [limiter.take("a", 3, 60.0, now) for _ in range(3)] == [0, 0, 0]

    wait = limiter.take("a", 3, 60.0, now + 5)

    assert wait == 15  # one call in 20 seconds, of which five are over
    assert limiter.take("a", 3, 60.0, now + 5 + wait - 1) == 1
    assert limiter.take("a", 3, 60.0, now + 5 + wait) == 0
    assert limiter.take("a", 3, 60.0, now + 5 + wait) == 20


def test_keys_do_not_touch_each_other_and_a_rest_fills_the_bucket_no_further_than_full() -> None:
    limiter = RateLimiter()
    assert [limiter.take("a", 2, 60.0, 0.0) for _ in range(3)] == [0, 0, 30]

    assert limiter.take("b", 2, 60.0, 0.0) == 0
    assert [limiter.take("a", 2, 60.0, 10_000.0) for _ in range(3)] == [0, 0, 30]


def test_looking_counts_nothing() -> None:
    limiter = RateLimiter()

    assert [limiter.wait("a", 1, 60.0, 0.0) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", 1, 60.0, 0.0) == 0
    assert limiter.wait("a", 1, 60.0, 0.0) == 60


def test_of_more_keys_than_there_is_room_for_the_one_used_longest_ago_begins_anew() -> None:
    limiter = RateLimiter(keys_max=2)
    for key in ("a", "b", "c"):
        assert limiter.take(key, 1, 60.0, 0.0) == 0

    assert (limiter.wait("b", 1, 60.0, 0.0), limiter.wait("a", 1, 60.0, 0.0)) == (60, 0)


def test_buckets_that_are_full_again_are_dropped_as_others_come() -> None:
    limiter = RateLimiter()
    for number in range(100):
        limiter.take(f"flood{number}", 60, 60.0, 0.0)
    limiter.take("slow", 1, 60.0, 0.0)
    assert len(limiter) == 101

    for number in range(51):
        limiter.take(f"later{number}", 60, 60.0, 2.0)

    assert len(limiter) == 52  # those that came later, and the one that is not full yet
    assert (limiter.wait("slow", 1, 60.0, 2.0), limiter.wait("later0", 1, 60.0, 2.0)) == (58, 0)


def test_a_kept_answer_has_its_time_and_there_are_only_so_many() -> None:
    cache = ResponseCache()
    cache.keep(("a",), ([], b"one"), until=5.0)
    assert (cache.find(("a",), 4.9), cache.find(("a",), 5.0)) == (([], b"one"), None)

    for number in range(ENTRIES_MAX + 1):
        cache.keep((number,), ([], b""), until=5.0)
    cache.keep(("large",), ([], b"x" * 300_000), until=5.0)

    assert (cache.find((0,), 0.0), cache.find((1,), 0.0), cache.find(("large",), 0.0)) == (None, ([], b""), None)


def test_of_a_list_of_secrets_the_newest_is_sent_and_of_one_authority_there_are_two() -> None:
    values = {
        name: NamedValue(meaning=name, setting=setting, item=item)
        for name, setting, item in (("secret", "S", 0), ("first", "A", 0), ("second", "A", 1))
    }
    element = read_document(Path(__file__).parents[2] / "infra" / "policies" / "anonymous.xml")

    def filled(**environment: str) -> str:
        return NamedValues(values, environment).filled_in("{{first}} {{second}}", element)

    assert filled(S="new", A="one, two") == "one two"
    assert filled(S="new", A="one") == "one one"
    secret = NamedValues({"s": NamedValue(meaning="s", setting="S", item=0, secret=True)}, {"S": "new, old, older"})
    assert secret.filled_in("{{s}}", element) == "new"
