"""Authorities: what each may claim, and whose keys are believed for how long."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from starlette.responses import RedirectResponse, Response

from shared.auth import authorities
from shared.auth.authorities import FETCH_BYTES_MAX, FRESH, KEPT, REFRESH_INTERVAL, WAITING_MAX, may_claim
from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from tests.doubles.authority import AUDIENCE, Tenant, Tenants, jwk, tenants

FLOOD = 300
PATIENCE_SECONDS = 60.0
GUID = "4e35db53-0000-4000-8000-000000000001"
OTHER = "4e35db53-0000-4000-8000-000000000002"


@pytest.fixture
async def host() -> AsyncIterator[Tenants]:
    async with tenants() as running:
        yield running


def validator(*of: Tenant) -> TokenValidator:
    return TokenValidator([tenant.url for tenant in of], AUDIENCE)


async def reason(asked: TokenValidator, token: str, later: timedelta = timedelta()) -> str:
    with pytest.raises(TokenRefused) as refused:
        await asked.caller(token, utc_now() + later)
    return str(refused.value.facts["reason"])


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not there():  # noqa: ASYNC110 - what is looked at tells nobody when it changes
            await asyncio.sleep(0.005)


async def fetched(asked: TokenValidator, tenant: Tenant, before: int) -> None:
    """Return once the tenant was asked for its document and its keys, in the background, and what it said is taken."""
    [authority] = asked._authorities._all
    await until(lambda: tenant.asked == before + 2 and authority._fetching is None)


@pytest.mark.parametrize(
    ("authority", "issuer", "allowed"),
    [
        ("https://login.example.org/t", "https://login.example.org/t", True),
        ("https://login.example.org", "https://login.example.org/", True),
        (f"https://x.b2clogin.com/{GUID}/B2C_1_in/v2.0", f"https://x.b2clogin.com/{GUID}/v2.0/", True),
        (f"https://x.b2clogin.com/{GUID}/B2C_1_in/v2.0", f"https://x.b2clogin.com/tfp/{GUID}/b2c_1_in/v2.0/", True),
        (f"https://x.b2clogin.com/{GUID}/B2C_1_in/v2.0", f"https://x.b2clogin.com/{OTHER}/v2.0/", False),
        (f"https://x.ciamlogin.com/{GUID}/v2.0", f"https://{GUID}.ciamlogin.com/{GUID}/v2.0", True),
        (f"https://x.ciamlogin.com/{GUID}/v2.0", f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0", False),
        (f"https://x.ciamlogin.com/{GUID}/v2.0", f"https://{OTHER}.ciamlogin.com/{GUID}/v2.0", False),
        (f"https://x.example.org/{GUID}/v2.0", f"https://{GUID}.ciamlogin.com/{GUID}/v2.0", False),
        ("https://login.example.org/common/v2.0", "https://login.example.org/{tenantid}/v2.0", False),
        ("https://login.example.org/{tenantid}/v2.0", "https://login.example.org/{tenantid}/v2.0", False),
        ("https://login.example.org/a/v2.0", "https://login.example.org/b/v2.0", False),
        ("https://login.example.org/a/v2.0", "https://login.example.com/a/v2.0", False),
        ("https://login.example.org/a/v2.0", "http://login.example.org/a/v2.0", False),
        ("https://login.example.org/a/v2.0", "", False),
    ],
)
def test_an_authority_may_claim_issuers_of_its_own_host_and_tenant(authority: str, issuer: str, allowed: bool) -> None:
    assert may_claim(authority, issuer) is allowed


async def test_an_issuer_written_otherwise_than_its_document_writes_it_is_another(host: Tenants) -> None:
    tenant = host.tenant("t", "k")

    assert await reason(validator(tenant), tenant.token("k", iss=f"{tenant.url}/")) == "key"


async def test_no_authority_speaks_for_anothers_people(host: Tenants) -> None:
    ours, liar = host.tenant("ours", "o"), host.tenant("liar", "l")
    liar.claims = ours.url
    both = validator(liar, ours)

    assert await both.ready()
    assert await reason(both, ours.token("l")) == "key"
    with pytest.raises(DependencyUnavailable):  # nor for its own, who are of an issuer it does not claim to be
        await both.caller(ours.token("l", iss=liar.url), utc_now())
    assert (await both.caller(ours.token("o"), utc_now())).name == "Uma"


async def test_keys_of_one_authority_sign_nothing_for_another(host: Tenants) -> None:
    one, two = host.tenant("one", "k"), host.tenant("two", "t")
    both = validator(one, two)

    assert await reason(both, two.token("k")) == "key"
    assert await reason(both, two.token("k", header={"kid": "t"})) == "InvalidSignatureError"
    persons = {(await both.caller(each.token(name), utc_now())).person_id for each, name in ((one, "k"), (two, "t"))}
    assert len(persons) == 2  # the same oid at another authority is somebody else


async def test_two_user_flows_of_one_tenant_sign_for_one_issuer(host: Tenants) -> None:
    host.tenant("b2c", "k")
    flows = [f"{host.address}/b2c/flow-{n}/v2.0" for n in "12"]
    host.there["b2c"].claims = f"{host.address}/b2c/v2.0/"
    both = TokenValidator(flows, AUDIENCE)

    assert (await both.caller(host.there["b2c"].token("k"), utc_now())).name == "Uma"


async def test_a_flood_of_unknown_keys_asks_the_authority_once_in_a_while(host: Tenants) -> None:
    tenant = host.tenant("t", "k")
    asked = validator(tenant)
    known, now = tenant.token("k"), utc_now() + REFRESH_INTERVAL * 2
    await asked.caller(known, utc_now())
    before = tenant.asked
    flood = [tenant.token("k", header={"kid": f"made-up-{n}"}) for n in range(FLOOD)]

    first = await asyncio.gather(*(asked.caller(token, now) for token in flood), return_exceptions=True)
    later = [
        await asyncio.gather(asked.caller(token, now + timedelta(seconds=n % 29)), return_exceptions=True)
        for n, token in enumerate(flood)
    ]

    assert {type(answer) for answer in first} <= {TokenRefused, DependencyUnavailable}
    assert {type(answer) for [answer] in later} == {TokenRefused}
    assert tenant.asked - before == 2  # its document and its keys, once
    assert (await asked.caller(known, now)).name == "Uma"


async def test_only_so_many_wait_for_a_silent_authority_and_the_known_are_served(host: Tenants) -> None:
    tenant = host.tenant("t", "k")
    asked, now = validator(tenant), utc_now() + REFRESH_INTERVAL * 2
    await asked.caller(tenant.token("k"), utc_now())
    tenant.silent, before = True, tenant.asked
    flood = [tenant.token("k", header={"kid": f"made-up-{n}"}) for n in range(FLOOD)]
    waiting = [asyncio.create_task(asked.caller(token, now)) for token in flood]

    await until(lambda: tenant.asked > before)
    turned_away = [task for task in waiting if task.done()]

    assert len(turned_away) == FLOOD - WAITING_MAX
    assert {type(task.exception()) for task in turned_away} == {DependencyUnavailable}
    assert (await asked.caller(tenant.token("k", oid="another"), now)).name == "Uma"
    assert tenant.asked == before + 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_keys_are_fetched_again_in_the_background_before_anybody_waits(host: Tenants) -> None:
    tenant = host.tenant("t", "old")
    asked, now = validator(tenant), utc_now() + FRESH + timedelta(seconds=1)
    old = tenant.token("old")
    await asked.caller(old, utc_now())
    tenant.keys, before = [jwk("old"), jwk("new")], tenant.asked

    assert (await asked.caller(old, now)).name == "Uma"  # remembered, and it is what begins the fetch
    await fetched(asked, tenant, before)
    tenant.down = True

    assert (await asked.caller(tenant.token("new"), now)).name == "Uma"
    assert tenant.asked == before + 2


async def test_a_withdrawn_key_ends_even_what_is_remembered_of_it(host: Tenants) -> None:
    tenant = host.tenant("t", "leaked", "good")
    asked, now = validator(tenant), utc_now() + FRESH + timedelta(seconds=1)
    leaked, good = tenant.token("leaked"), tenant.token("good")
    for token in (leaked, good):
        await asked.caller(token, utc_now())
    tenant.keys, before = [jwk("good")], tenant.asked

    await asked.caller(leaked, now)  # it begins the fetch, and waits for nothing
    await fetched(asked, tenant, before)

    assert await reason(asked, leaked, FRESH + timedelta(seconds=2)) == "key"
    assert (await asked.caller(good, now)).name == "Uma"


async def test_an_id_whose_key_is_exchanged_does_not_go_on_for_the_old_one(host: Tenants) -> None:
    tenant = host.tenant("t", "k")
    asked, now = validator(tenant), utc_now() + FRESH + timedelta(seconds=1)
    token = tenant.token("k")
    await asked.caller(token, utc_now())
    tenant.keys, before = [jwk("another", kid="k")], tenant.asked

    await asked.caller(token, now)
    await fetched(asked, tenant, before)

    assert await reason(asked, token, FRESH + timedelta(seconds=2)) == "InvalidSignatureError"


async def test_keys_of_an_authority_that_is_away_are_believed_for_a_day_and_no_longer(host: Tenants) -> None:
    tenant = host.tenant("t", "k")
    asked, token = validator(tenant), tenant.token("k", exp=4_000_000_000)
    await asked.caller(token, utc_now())
    tenant.down = True

    assert (await asked.caller(token, utc_now() + KEPT - timedelta(minutes=1))).name == "Uma"
    with pytest.raises(DependencyUnavailable):
        await asked.caller(token, utc_now() + KEPT + timedelta(minutes=1))
    tenant.down = False
    assert (await asked.caller(token, utc_now() + KEPT + timedelta(minutes=2))).name == "Uma"


NONSENSE = {
    "no keys": Response('{"keys": []}'),
    "only short keys": Response(json.dumps({"keys": [jwk("short")]})),
    "another shape": Response('["keys"]'),
    "a page": Response("<html>Maintenance</html>"),
    "an endless answer": Response(b" " * (FETCH_BYTES_MAX + 1) + json.dumps({"keys": [jwk("k")]}).encode()),
    "somewhere else": RedirectResponse("http://127.0.0.1:1/keys"),
    "an error": Response(json.dumps({"keys": [jwk("k")]}), status_code=500),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_no_answer_and_the_last_good_keys_stay(host: Tenants, what: str) -> None:
    tenant = host.tenant("t", "k")
    knows, cold, now = validator(tenant), validator(tenant), utc_now() + FRESH + timedelta(seconds=1)
    await knows.caller(tenant.token("k"), utc_now())
    tenant.instead, before = NONSENSE[what], tenant.asked

    assert await knows.ready()
    assert (await knows.caller(tenant.token("k", oid="b"), now)).name == "Uma"
    await fetched(knows, tenant, before)
    assert (await knows.caller(tenant.token("k", oid="c"), now)).name == "Uma"
    with pytest.raises(DependencyUnavailable):
        await cold.caller(tenant.token("k"), utc_now())
    assert not await cold.ready()


async def test_one_unreadable_key_does_not_spoil_the_others(host: Tenants) -> None:
    tenant = host.tenant("t", "k")
    tenant.keys = [
        jwk("k", kid="broken", n="!"),
        {"kty": "EC"},
        jwk("k", kid=7),
        jwk("k", kid="e", use="enc"),
        jwk("k"),
    ]

    assert (await validator(tenant).caller(tenant.token("k"), utc_now())).name == "Uma"


def test_keys_are_fetched_with_as_much_protection_as_the_document_that_names_them() -> None:
    assert authorities.keys_may_be_at("https://login.example.org/t", "https://keys.example.org/t")
    assert not authorities.keys_may_be_at("https://login.example.org/t", "http://login.example.org/t")


@pytest.mark.parametrize("uri", ["https://127.0.0.1:1/keys", "http://[", "file:///etc/passwd", ""])
async def test_keys_that_are_to_be_had_elsewhere_are_not_fetched(host: Tenants, uri: str) -> None:
    tenant = host.tenant("t", "k")
    tenant.jwks_uri = uri or "keys"

    with pytest.raises(DependencyUnavailable):
        await validator(tenant).caller(tenant.token("k"), utc_now())
    assert tenant.asked == 1


async def test_with_one_of_two_away_the_others_people_wait_for_nothing(
    host: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorities, "FETCH_SECONDS_MAX", 1.0)
    here, away = host.tenant("here", "h"), host.tenant("away", "a")
    away.silent = True
    both = validator(here, away)

    assert await both.ready()
    before = here.asked + away.asked
    assert (await both.caller(here.token("h"), utc_now())).name == "Uma"
    assert await reason(both, here.token("h", iss="https://nobody.example/v2.0")) == "issuer"
    assert here.asked + away.asked == before  # and nobody was asked for a stranger
    with pytest.raises(DependencyUnavailable):
        await both.caller(away.token("a"), utc_now())
