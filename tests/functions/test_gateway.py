"""The product behind its gateway: every function has a policy, and who comes past the gateway is refused."""

import json
from collections.abc import Iterator

import httpx
import pytest

from functions.catalog.list_wire import ListQuery
from local.host.gateway.configuration import read_configuration
from local.host.process import HostProcess
from local.stack import ROOT, Stack
from shared.web.entrance import PROOF_HEADER
from tests.support.api import Api, refusal

POLICIES = ROOT / "infra" / "policies"


@pytest.fixture
def past(bare: HostProcess) -> Iterator[httpx.Client]:
    """A client that found the functions' own address."""
    with httpx.Client(base_url=bare.url, timeout=30) as client:
        yield client


WRONG = [b"", b"wrong", b"\xff", b"a" * 20_000]


@pytest.mark.parametrize("secret", [None, *WRONG], ids=["none", "empty", "wrong", "no text", "long"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "me"), ("POST", "organisers"), ("GET", "docs"), ("GET", "metrics"), ("POST", "payments/stripe")],
)
def test_who_comes_past_the_gateway_is_refused_and_nothing_is_done(
    api: Api, past: httpx.Client, method: str, path: str, secret: bytes | None
) -> None:
    headers = {b"authorization": f"Bearer {api.person('creator').token}".encode()}
    if secret is not None:
        headers[PROOF_HEADER.encode()] = secret

    answer = past.request(method, f"/api/{path}", headers=headers, json={"name": "Past"} if method == "POST" else None)

    assert refusal(answer) == (403, "not-through-gateway")


def test_a_refused_write_past_the_gateway_changes_nothing(api: Api, direct: Api, past: httpx.Client) -> None:
    creator = direct.bearer(api.person("creator").token)
    before = creator.get("me").json()["memberships"]

    refused = past.post("/api/organisers", json={"name": "Past"}, headers={"authorization": f"Bearer {creator.token}"})

    assert refused.status_code == 403
    assert creator.get("me").json()["memberships"] == before == {}


@pytest.mark.parametrize("path", ["health/live", "health/ready"])
def test_the_platform_may_ask_for_health_past_the_gateway(past: httpx.Client, path: str) -> None:
    assert past.get(f"/api/{path}").status_code == 200


def test_with_the_secret_the_functions_answer_and_check_tokens_themselves(api: Api, direct: Api) -> None:
    assert direct.bearer(api.person().token).get("me").status_code == 200
    assert refusal(direct.nobody.get("me")) == (401, "token-refused")


def test_every_function_has_one_policy_and_every_policy_names_functions_that_are_there(stack: Stack) -> None:
    functions = httpx.get(f"{stack.url}/admin/functions").json()
    registered = {each["name"] for each in functions if each["kind"] == "HttpFunction"}

    assert read_configuration(POLICIES).policy_of().keys() == registered


def test_the_cache_tells_apart_all_that_a_list_can_be_asked_for() -> None:
    named = (POLICIES / "public-reads.xml").read_text()
    parameters = {field.alias or name for name, field in ListQuery.model_fields.items()}

    listed = {
        part
        for line in named.splitlines()
        if "<vary-by-query-parameter>" in line
        for part in line.strip().removeprefix("<vary-by-query-parameter>").partition("<")[0].split(";")
    }
    assert listed == parameters


def test_operations_json_keeps_no_secret() -> None:
    values = json.loads((POLICIES / "operations.json").read_text())["named_values"]

    assert {name: value.get("default") for name, value in values.items() if value.get("secret")} == {
        "insights-key": None,
        "gateway-secret": "none",
    }
