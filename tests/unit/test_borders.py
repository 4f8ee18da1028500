"""The borders between organisers at the edge: declared, or the app does not load; asked, or nothing is answered."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import azure.functions as func
import pytest
from pydantic import BaseModel

from functions.identity.keyring import Keyring
from functions.identity.standings import Standings
from shared.audit import AuditTrail
from shared.auth.gate import Gate
from shared.auth.permissions import Permission, may
from shared.auth.tokens import TokenValidator
from shared.kernel.clock import utc_now
from shared.kernel.ids import OrganiserId
from shared.store.embedded import EmbeddedStore
from shared.topology import topology
from shared.web.borders import OWN_OR_THING, THING, BorderUndeclared
from shared.web.endpoint import Call, Endpoints, Nothing
from shared.web.entrance import Entrance


class Seen(BaseModel):
    """What a handler saw."""

    allowed: bool


KEY = "an insights key of thirty-two ch"
HOUSE = OrganiserId("org_" + "a" * 26)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "store.db", topology(), KEY.encode())
    yield opened
    opened.close()


@pytest.fixture
def endpoints(store: EmbeddedStore) -> Endpoints:
    validator = TokenValidator(["http://127.0.0.1:9"], "a")
    gate = Gate(validator, Standings(store).of, Keyring(store).caller, insights_key=KEY, anonymous_browsing=True)
    return Endpoints("test", Entrance(gate, AuditTrail(store)))


def declare(endpoints: Endpoints, route: str, needs: Permission, within: str) -> None:
    @endpoints("GET", route, needs=needs, within=within)
    async def look(call: Call, nothing: Nothing) -> None:
        """Look."""


@pytest.mark.parametrize(
    ("route", "needs", "within"),
    [
        ("things", Permission.MANAGE_EVENTS, ""),
        ("things/{id}", Permission.REFUND, OWN_OR_THING),
        ("things", Permission.BUY, "organiser_id"),
        ("orders/{order_id}", Permission.BUY, ""),
        ("orders/{order_id}", Permission.BUY, THING),
        ("things", Permission.OPERATE, THING),
    ],
)
def test_an_endpoint_that_does_not_say_whose_things_it_is_about_does_not_load(
    endpoints: Endpoints, route: str, needs: Permission, within: str
) -> None:
    with pytest.raises(BorderUndeclared):
        declare(endpoints, route, needs, within)
    assert endpoints.specs == []


def test_one_that_says_it_loads(endpoints: Endpoints) -> None:
    declare(endpoints, "organisers/{organiser_id}/things", Permission.MANAGE_EVENTS, "organiser_id")
    declare(endpoints, "orders/{order_id}", Permission.BUY, OWN_OR_THING)
    declare(endpoints, "orders", Permission.BUY, "")

    assert len(endpoints.specs) == 3


@pytest.mark.parametrize("asks", [True, False])
async def test_an_answer_for_which_nobody_asked_is_not_given(
    endpoints: Endpoints, store: EmbeddedStore, asks: bool
) -> None:
    async def look(call: Call, nothing: Nothing) -> Seen:
        """Look."""
        return Seen(allowed=may(call.caller, Permission.MANAGE_EVENTS, HOUSE) if asks else True)

    endpoints("GET", "things/{id}", needs=Permission.MANAGE_EVENTS, takes=Nothing, returns=Seen, within=THING)(look)
    _, token = await Keyring(store).make(
        organiser_id=None, name="Site", scopes=[Permission.MANAGE_EVENTS], by="per_a", life=timedelta(days=1),
        now=utc_now(),
    )  # fmt: skip
    request = func.HttpRequest("GET", "/api/things/x", headers={"authorization": f"Bearer {token}"}, body=b"")

    answer = await endpoints._answering(look, endpoints.specs[0], Nothing, False)(request, "cor-of-test")

    told = json.loads(answer.get_body())
    assert (answer.status_code, told.get("allowed")) == ((200, True) if asks else (500, None))
