"""Whatever the OpenAPI document allows or forbids: no failure of ours, and no answer it does not tell of."""

import os
from typing import Final

import pytest

from tests.misuse.cases import Misuser, World
from tests.support.api import Api, Organiser, Person

pytestmark = pytest.mark.xdist_group("misuse")  # one Tessera for all of them

ROUNDS: Final = int(os.environ.get("TORTURE_ROUNDS", "1"))
SEED: Final = int(os.environ.get("TORTURE_SEED", "20260501"))
CASES: Final = {"admin": 600, "owner": 500, "operator": 300, "user": 400, "insights": 100, "nobody": 100}  # 2,000


@pytest.fixture(scope="session")
def misused(api: Api) -> Organiser:
    return api.organiser("Misused")


@pytest.fixture(scope="session")
def world(api: Api, misused: Organiser) -> World:
    return World.made(api, misused)


def somebody(api: Api, house: Organiser, world: World, role: str) -> Person:
    people = {
        "admin": lambda: api.person("admin"),
        "owner": lambda: house.owner,
        "operator": lambda: house.operator,
        "user": lambda: world.buyer,
        "insights": lambda: api.insights,
        "nobody": lambda: api.nobody,
    }
    return people[role]()


@pytest.mark.parametrize("role", CASES)
def test_no_request_makes_the_service_fail_or_answer_what_is_not_documented(
    api: Api, misused: Organiser, world: World, role: str
) -> None:
    misuser = Misuser(api, somebody(api, misused, world, role), world)
    document = api.nobody.get("openapi.json").json()

    misuser.misuse(document, cases=CASES[role] * ROUNDS, first_seed=SEED)

    print(f"{role}: {misuser.sent} requests, seed {SEED}")
    statuses = {status for _, status in misuser.answered}
    assert statuses >= {"insights": {200, 401}, "nobody": {200, 401}}.get(role, {200, 400, 404})
