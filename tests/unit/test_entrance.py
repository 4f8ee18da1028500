"""The functions' own door: what proves that a request came through the gateway, and where its caller's token is."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from functions.identity.keyring import Keyring
from functions.identity.standings import Standings
from shared.audit import AuditTrail
from shared.auth.gate import INSIGHTS_SERVICE, Gate
from shared.auth.permissions import ANONYMOUS, Permission
from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.clock import utc_now
from shared.store.embedded import EmbeddedStore
from shared.topology import topology
from shared.web.entrance import Entrance, NotThroughGateway

KEY = "an insights key of thirty-two ch"
NEW, OLD = "the newest secret of the gateway", "the secret before of the gateway"
PRINCIPAL = "7e55e2a0-0000-4000-8000-00000000000a"


type Door = Callable[..., Entrance]


@pytest.fixture
def entrance(tmp_path: Path) -> Iterator[Door]:
    """Makes the door, of these secrets and this identity."""
    store = EmbeddedStore(tmp_path / "store.db", topology(), KEY.encode())
    standings, keyring = Standings(store), Keyring(store)
    validator = TokenValidator(["http://127.0.0.1:9"], "a")
    gate = Gate(validator, standings.of, keyring.caller, insights_key=KEY, anonymous_browsing=False)

    def door(*secrets: str, principal_id: str = "") -> Entrance:
        return Entrance(gate, AuditTrail(store), secrets=secrets, principal_id=principal_id)

    yield door
    store.close()


async def refused(door: Entrance, headers: Mapping[str, str]) -> bool:
    try:
        await door.admit(headers, Permission.PUBLIC, utc_now(), probe=False)
    except NotThroughGateway:
        return True
    return False


async def test_without_a_configured_proof_everybody_may_come(entrance: Door) -> None:
    assert not await refused(entrance(), {})


@pytest.mark.parametrize(("secret", "comes"), [(NEW, True), (OLD, True), ("", False), (f"{NEW}, {OLD}", False)])
async def test_any_of_the_secrets_is_proof_so_that_it_can_be_rotated(secret: str, comes: bool, entrance: Door) -> None:
    assert await refused(entrance(NEW, OLD), {"x-gateway-secret": secret}) is not comes


@pytest.mark.parametrize(
    "headers", [{}, {"x-ms-client-principal-id": ""}, {"x-ms-client-principal-id": PRINCIPAL[:-1]}]
)
async def test_another_identity_than_the_gateways_is_refused(headers: Mapping[str, str], entrance: Door) -> None:
    assert await refused(entrance(principal_id=PRINCIPAL), headers)


async def test_where_both_are_configured_both_are_asked_for(entrance: Door) -> None:
    door = entrance(NEW, principal_id=PRINCIPAL)
    secret, identity = {"x-gateway-secret": NEW}, {"x-ms-client-principal-id": PRINCIPAL}

    assert await refused(door, secret)
    assert await refused(door, identity)
    assert not await refused(door, {**secret, **identity})


async def test_a_probe_needs_no_proof(entrance: Door) -> None:
    door = entrance(NEW, principal_id=PRINCIPAL)

    assert await door.admit({}, Permission.PUBLIC, utc_now(), probe=True) == ANONYMOUS


async def test_behind_an_identity_the_callers_token_is_in_the_forwarded_header_and_nowhere_else(entrance: Door) -> None:
    door, own = entrance(principal_id=PRINCIPAL), {"x-ms-client-principal-id": PRINCIPAL}
    key = f"Bearer {KEY}"

    forwarded = {**own, "authorization": "Bearer of-the-gateway", "x-forwarded-authorization": key}
    assert await door.admit(forwarded, Permission.READ_INSIGHTS, utc_now(), probe=False) == INSIGHTS_SERVICE
    for headers in ({**own, "authorization": key}, {**own, "authorization": key, "x-forwarded-authorization": ""}):
        with pytest.raises(TokenRefused):
            await door.admit(headers, Permission.READ_INSIGHTS, utc_now(), probe=False)


async def test_without_an_identity_nobody_hears_the_forwarded_header(entrance: Door) -> None:
    headers = {"x-gateway-secret": NEW, "x-forwarded-authorization": f"Bearer {KEY}"}

    with pytest.raises(TokenRefused):
        await entrance(NEW).admit(headers, Permission.READ_INSIGHTS, utc_now(), probe=False)
