"""Functions ⇔ policies ⇔ the API's description ⇔ operations and backends of the gateway ⇔ apps."""

import json
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from tests.infra.checks.functions import apps, backends, deployed, described, policies
from tests.infra.conftest import Break
from tests.infra.world import Infra, Seen
from tools.bicep.errors import BicepError

type Check = Callable[[Seen], Iterator[str]]
OPERATIONS: Final = "policies/operations.json"
GATEWAY: Final = "modules/gateway.bicep"
API: Final = "modules/gateway-api.bicep"
SIZES: Final = "environments.bicep"
MAIN: Final = "main.bicep"


@pytest.mark.parametrize("check", [policies, described, deployed, backends, apps])
def test_every_function_is_reached_and_nothing_else_is_promised(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (policies, OPERATIONS, '"sales_place_order", ', "", "sales_place_order has no policy"),
        (policies, OPERATIONS, '"operations_live"', '"operations_alive"', "there is no function operations_alive"),
        (policies, OPERATIONS, '"operations_live"', '"sales_stripe_webhook"', "sales_stripe_webhook has 2 policies"),
        (policies, OPERATIONS, '"payments-webhook.xml"', '"webhook.xml"', "webhook.xml is the policy of nothing"),
        (described, "openapi.json", '"/orders":', '"/order":', "POST /orders is not described"),
        (described, "openapi.json", '"/orders":', '"/order":', "POST /order is nobody's"),
        (described, "openapi.json", '"sales-place-order"', '"salesPlaceOrder"', "its id is salesPlaceOrder"),
        (described, OPERATIONS, '"payments-webhook.xml"', '"anonymous.xml"', "its policy is payments-webhook.xml, not"),
        (deployed, API, "name: operation.operationId", "name: '${operation.operationId}-get'", "has no policy in API"),
        (deployed, API, "'signed-in.xml': loadTextContent('../policies/signed-in.xml')",
         "'signed-in.xml': loadTextContent('../policies/anonymous.xml')", "has another policy than signed-in.xml"),
        (deployed, API, "path: 'api'", "path: 'v1'", "the API is at v1"),
        (deployed, GATEWAY, "loadTextContent('../policies/global.xml')", "loadTextContent('../policies/anonymous.xml')",
         "not global.xml"),
        (backends, GATEWAY, "name: backend.key", "name: 'to-${backend.key}'", "there is no backend catalog"),
        (backends, MAIN, "  admission: 'commerce'\n", "", "there is no backend admission"),
        (backends, MAIN, "  admission: 'commerce'\n", "  admission: 'workers'\n", "admission_my_tickets is not in"),
        (backends, GATEWAY, "url: '${backend.value}/api'", "url: backend.value", "which is no app"),
        (backends, GATEWAY, "rules: [\n", "unruly: [\n", "has no circuit breaker"),
        (backends, GATEWAY, "{ min: 502, max: 504 }", "{ min: 400, max: 599 }", "taken to be away at 400 to 599"),
        (backends, GATEWAY, "count: 50, ", "count: 1, ", "away after 1 failures in PT10S"),
        (backends, GATEWAY, "interval: 'PT10S'", "interval: 'PT1H'", "away after 50 failures in PT1H"),
        (backends, GATEWAY, "tripDuration: 'PT10S'", "tripDuration: 'PT10M'", "is not asked for PT10M"),
        (backends, GATEWAY, "validateCertificateChain: true", "validateCertificateChain: false", "may be anybody"),
        (deployed, API, "subscriptionRequired: false", "subscriptionRequired: true", "subscriptionRequired is True"),
        (deployed, API, "state: 'published'", "state: 'notPublished'", "tickets's state is notPublished"),
        (deployed, API, "translateRequiredQueryParameters: 'query'", "translateRequiredQueryParameters: 'template'",
         "translateRequiredQueryParameters is template"),
        (deployed, API, "  name: api.name\n", "  name: 'echo-api'\n", "in no product"),
        (apps, SIZES, "function:settle_order", "function:settle_orders", "settle_orders is no function of its own"),
        (apps, SIZES, "function:settle_order", "function:sales_place_order", "sales_place_order is no function"),
        (apps, SIZES, "function:relay_orders", "function:settle_order", "settle_order is no function of its own"),
        (apps, SIZES, "{ name: 'http', instanceCount: 2 }", "{ name: 'https', instanceCount: 2 }", "no group https"),
        (apps, SIZES, "services: ['insights']", "services: ['insights', 'identity']", "2 apps run identity"),
        (apps, "modules/functionapp.bicep", "Count: app.maximumInstanceCount", "Count: 2000", "2000 instances"),
        (apps, "modules/functionapp.bicep", "Count: app.maximumInstanceCount", "Count: 1", "more always run than may"),
        (apps, "modules/functionapp.bicep", "Concurrency: app.httpConcurrency", "Concurrency: 500", "json lets in"),
        (apps, MAIN, "join(appNames, ',')", "join(take(appNames, 2), ',')", "FUNCTION_APPS is"),
    ],
)  # fmt: skip
def test_what_would_answer_404_or_never_run_is_found(
    broken: Break, seen_of: Callable[[Infra], Seen], check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(seen_of(broken(file, old, new))))
    assert [each for each in problems if found in each] != [], problems


def test_a_service_that_no_app_runs_is_found(broken: Break) -> None:
    """Already by the evaluator: the gateway's backend would have no app to lead to."""
    with pytest.raises(BicepError, match=r"main\.bicep:\d+: .* has no item null"):
        broken(SIZES, "services: ['insights']", "services: ['identity']").planned("prod")


def test_the_gateway_chooses_a_backend_by_the_first_part_of_an_operations_name(infra: Infra) -> None:
    """So the check of backends may split names as it does."""
    around = (infra.folder / "policies" / "global.xml").read_text()
    assert around.count("<set-backend-service backend-id=\"@(context.Operation.Id.Split('-')[0])\" />") == 1


def test_the_description_is_in_words_that_api_management_reads(infra: Infra) -> None:
    """By the rules of 3.0, which know neither `examples` in a schema nor `null` as a type."""
    document = infra.json("openapi.json")
    OpenAPIV30SpecValidator(document).validate()
    schemas = document["components"]["schemas"]
    for wrong in (
        {"type": ["string", "null"]},
        {"type": "null"},
        {"examples": ["a"]},
        {"contentMediaType": "image/png"},
    ):
        with pytest.raises(OpenAPIValidationError):
            OpenAPIV30SpecValidator({**document, "components": {"schemas": {**schemas, "Odd": wrong}}}).validate()


def test_the_description_is_small_enough_for_bicep_to_load(infra: Infra) -> None:
    document = infra.json("openapi.json")
    assert len(json.dumps(document)) < 1_048_576
