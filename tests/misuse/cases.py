"""Requests drawn from the OpenAPI document by schemathesis, sent as somebody, and what is held against each answer."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import Api, Json, Organiser, Person, order_body, venue_body

CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PASSES_MAX: Final = 50
IDS_MAX: Final = 200
ANSWER_SECONDS: Final = 60  # only a hang takes so long


@dataclass
class World:
    """What there is to ask about, by the names requests have for it; it grows as requests make more.

    :param buyer: whose orders wait for their payment
    :param bodies: operation → a body it takes, to be spoiled in one place; what they name is in no pool and stays
    :param tickets: order and number of each
    """

    buyer: Person
    ids: dict[str, list[str]]
    bodies: Mapping[str, Json]
    tickets: list[tuple[str, str]]

    @classmethod
    def made(cls, api: Api, house: Organiser) -> "World":
        """Drafts and events of this organiser, orders in most states, and everything they have."""
        drafts, events = [house.draft() for _ in range(10)], [house.event(capacity=10_000) for _ in range(5)]
        buyer = api.person()
        sold = [house.operator.paid(event) for event in events]
        placed = [buyer.order(event).json() for event in events]
        tickets = [(order["order_id"], ticket["number"]) for order in sold for ticket in order["tickets"]]
        queues = api.person("admin").get("operations/dead-letters").json()["items"]
        ids = {
            "organiser_id": [house.id],
            "venue_id": [house.venue["venue_id"]],
            "event_id": [event["event_id"] for event in (*drafts, *events[1:])],
            "order_id": [order["order_id"] for order in (*sold[1:], *placed)],
            "number": [number for _, number in tickets],
            "person_id": [person.id for person in (buyer, api.person(), api.person())],
            "queue": [queue["queue"] for queue in queues],
            "sequence_number": ["1", "2", str(2**63 - 1)],
        }
        return cls(buyer, ids, _bodies(house, events[0], sold[0]), tickets)

    def learn(self, answer: Any) -> None:
        """Take what a request has made into the pools."""
        if isinstance(answer, dict):
            for name in answer.keys() & self.ids.keys():
                if len(self.ids[name]) < IDS_MAX:
                    self.ids[name].append(answer[name])


def _bodies(house: Organiser, event: Json, sold: Json) -> dict[str, Json]:
    path = f"orders/{sold['order_id']}/tickets"
    code = house.operator.get(path).json()["items"][0]["code"]
    return {
        "POST /api/organisers": {"name": "Another"},
        "POST /api/organisers/{organiser_id}/venues": venue_body(),
        "POST /api/events": house.event_body(),
        "PUT /api/events/{event_id}": {
            name: value for name, value in house.event_body().items() if name != "organiser_id"
        },
        "POST /api/orders": order_body(event, buyer={"name": "Uma"}),
        "POST /api/check-ins": {"code": code, "nonce": "12345678"},
        "POST /api/operations/dead-letters/{queue}/replay": {"all": True, "why": "misuse"},
        "POST /api/operations/dead-letters/{queue}/discard": {"sequence_numbers": [1], "why": "misuse"},
        "PUT /api/organisers/{organiser_id}/members/{person_id}": {"role": "operator"},
    }


@dataclass
class Misuser:
    """Somebody who sends whatever the document allows, and whatever it does not.

    :param sent: how many requests
    :param answered: how often each operation answered with each status
    """

    api: Api
    person: Person
    world: World
    sent: int = 0
    answered: dict[tuple[str, int], int] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def misuse(self, document: Json, *, cases: int, first_seed: int) -> None:
        """Send at least so many requests, evenly over the operations; those without any input are sent once."""
        schema = schemathesis.openapi.from_dict(document)
        found = list(schema.get_all_operations())
        operations = [each.ok() for each in found if isinstance(each, Ok)]
        assert len(operations) == len(found), "an operation that schemathesis cannot read"
        for number in range(PASSES_MAX):
            wide = [each for each in operations if number == 0 or each.path_parameters or each.query or each.body]
            left = cases - self.sent
            if left <= 0:
                return
            for index, operation in enumerate(wide):
                self._ask(operation, examples=-(-left // len(wide)), with_seed=first_seed + 1_000 * number + index)
        assert self.sent >= cases, f"only {self.sent} requests in {PASSES_MAX} passes"

    def _ask(self, operation: Any, *, examples: int, with_seed: int) -> None:
        drawn = {mode: operation.as_strategy(generation_mode=mode) for mode in GenerationMode}

        @seed(with_seed)
        @settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate], report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(data=st.data(), dice_seed=st.integers(0, 2**63))
        def ask(data: st.DataObject, dice_seed: int) -> None:
            dice = random.Random(dice_seed)  # of its own: hypothesis would mind that the pools of ids grow
            mode = GenerationMode.POSITIVE if dice.random() < 0.7 else GenerationMode.NEGATIVE
            case = data.draw(drawn[mode])
            self._nearly_right(case, dice)
            self._send(case, dice)

        ask()

    def _nearly_right(self, case: Any, dice: random.Random) -> None:
        """Mostly about what there is, often with a body that is right but for one field: such requests get furthest."""
        good = self.world.bodies.get(case.operation.label)
        if good is not None and dice.random() < 0.6:
            spoiled = sorted(case.body.items()) if isinstance(case.body, dict) and dice.random() < 0.7 else []
            case.body = {**good, **dict(spoiled and [dice.choice(spoiled)])}
        if "Idempotency-Key" in case.headers and dice.random() < 0.8:
            case.headers["Idempotency-Key"] = f"key-{dice.randrange(10_000)}"
        for given_part, share in ((case.path_parameters, 0.7), (case.query, 0.7), (case.body, 0.2)):
            for part in _objects(given_part):
                for name in sorted(part.keys() & self.world.ids.keys()):
                    if dice.random() < share:
                        part[name] = dice.choice(self.world.ids[name])
        if case.path_parameters and "number" in case.path_parameters and dice.random() < 0.5:
            order_id, number = dice.choice(self.world.tickets)
            case.path_parameters |= {"order_id": order_id, "number": number}

    def _send(self, case: Any, dice: random.Random) -> None:
        headers = {"authorization": f"Bearer {self.person.token}"} if self.person.token else {}
        url = self.api.stack.url
        response = case.call(base_url=url, session=self.session, headers=headers, timeout=ANSWER_SECONDS)
        self.sent += 1
        key = (case.operation.label, response.status_code)
        self.answered[key] = self.answered.get(key, 0) + 1
        told = f"{case.operation.label}\n{case.as_curl_command()}\n{response.status_code} {response.content[:2_000]!r}"
        assert response.status_code < 500, told
        case.validate_response(response, checks=CHECKS)
        if response.status_code == 201:
            self.world.learn(orjson.loads(response.content))
        correlation_ids = response.headers["x-correlation-id"]
        if response.status_code >= 400:
            problem = orjson.loads(response.content)
            assert (problem["status"], [problem["correlation_id"]]) == (response.status_code, correlation_ids), told
        if case.method.upper() == "GET" and dice.random() < 0.1:
            bare = self.session.head(response.request.url, headers=response.request.headers, timeout=ANSWER_SECONDS)
            assert (bare.status_code, bare.content) == (response.status_code, b""), told
            assert [bare.headers["content-type"]] == response.headers["content-type"], told


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)
