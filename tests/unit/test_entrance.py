"""The functions' own door: what proves that a request came through the gateway, and where its caller's token is."""

from collections.abc import Mapping
from datetime import datetime

import pytest

from shared.auth.gate import INSIGHTS_SERVICE, Gate
from shared.auth.permissions import ANONYMOUS, Membership, Permission
from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.clock import utc_now
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.entrance import Entrance, NotThroughGateway

KEY = "an insights key of thirty-two ch"
NEW, OLD = "the newest secret of the gateway", "the secret before of the gateway"
PRINCIPAL = "7e55e2a0-0000-4000-8000-00000000000a"


def entrance(*secrets: str, principal_id: str = "") -> Entrance:
    async def nowhere(_person: PersonId, _now: datetime) -> Mapping[OrganiserId, Membership]:
        return {}

    gate = Gate(TokenValidator(["http://127.0.0.1:9"], "a"), nowhere, insights_key=KEY, anonymous_browsing=False)
    return Entrance(gate, secrets=secrets, principal_id=principal_id)


async def refused(door: Entrance, headers: Mapping[str, str]) -> bool:
    try:
        await door.admit(headers, Permission.PUBLIC, utc_now(), probe=False)
    except NotThroughGateway:
        return True
    return False


async def test_without_a_configured_proof_everybody_may_come() -> None:
    assert not await refused(entrance(), {})


@pytest.mark.parametrize(("secret", "comes"), [(NEW, True), (OLD, True), ("", False), (f"{NEW}, {OLD}", False)])
async def test_any_of_the_secrets_is_proof_so_that_it_can_be_rotated(secret: str, comes: bool) -> None:
    assert await refused(entrance(NEW, OLD), {"x-gateway-secret": secret}) is not comes


@pytest.mark.parametrize(
    "headers", [{}, {"x-ms-client-principal-id": ""}, {"x-ms-client-principal-id": PRINCIPAL[:-1]}]
)
async def test_another_identity_than_the_gateways_is_refused(headers: Mapping[str, str]) -> None:
    assert await refused(entrance(principal_id=PRINCIPAL), headers)


async def test_where_both_are_configured_both_are_asked_for() -> None:
    door = entrance(NEW, principal_id=PRINCIPAL)
    secret, identity = {"x-gateway-secret": NEW}, {"x-ms-client-principal-id": PRINCIPAL}

    assert await refused(door, secret)
    assert await refused(door, identity)
    assert not await refused(door, {**secret, **identity})


async def test_a_probe_needs_no_proof() -> None:
    door = entrance(NEW, principal_id=PRINCIPAL)

    assert await door.admit({}, Permission.PUBLIC, utc_now(), probe=True) is ANONYMOUS


async def test_behind_an_identity_the_callers_token_is_in_the_forwarded_header_and_nowhere_else() -> None:
    door, own = entrance(principal_id=PRINCIPAL), {"x-ms-client-principal-id": PRINCIPAL}
    key = f"Bearer {KEY}"

    forwarded = {**own, "authorization": "Bearer of-the-gateway", "x-forwarded-authorization": key}
    assert await door.admit(forwarded, Permission.READ_INSIGHTS, utc_now(), probe=False) is INSIGHTS_SERVICE
    for headers in ({**own, "authorization": key}, {**own, "authorization": key, "x-forwarded-authorization": ""}):
        with pytest.raises(TokenRefused):
            await door.admit(headers, Permission.READ_INSIGHTS, utc_now(), probe=False)


async def test_without_an_identity_nobody_hears_the_forwarded_header() -> None:
    headers = {"x-gateway-secret": NEW, "x-forwarded-authorization": f"Bearer {KEY}"}

    with pytest.raises(TokenRefused):
        await entrance(NEW).admit(headers, Permission.READ_INSIGHTS, utc_now(), probe=False)
