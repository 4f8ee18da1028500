"""Functions, the API's description, the gateway's operations and backends, and what always runs: one set everywhere."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from local.package import ROOT
from shared.settings import SERVICES
from tests.infra.checks.topology import seconds
from tests.infra.world import Function, Seen, services_of
from tools.bicep.values import Declared, Value

GATEWAY: Final = "Microsoft.ApiManagement/service"
SITES: Final = "Microsoft.Web/sites"
# https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#always-ready-instances
GROUPS: Final = frozenset({"http", "durable", "blob"})
MEMORY: Final = (512, 2048, 4096)
INSTANCES_MAX: Final = 1000
AWAY: Final = frozenset({502, 503, 504})
FAILURES_MIN: Final = 10  # fewer may be one client's
INTERVAL_SECONDS_MAX: Final = 60
TRIP_SECONDS_MAX: Final = 60
# Who somebody is, their token tells: there are no subscription keys. Parameters stay where clients put them.
API: Final[Mapping[str, Value]] = {
    "subscriptionRequired": False, "protocols": ["https"], "translateRequiredQueryParameters": "query",
}  # fmt: skip
PRODUCT: Final[Mapping[str, Value]] = {"subscriptionRequired": False, "state": "published"}


def requests(seen: Seen) -> dict[str, Function]:
    """All functions that requests call, by name."""
    return {each.name: each for service in seen.code.values() for each in service if each.is_http}


def policies(seen: Seen) -> Iterator[str]:
    """Functions without a policy at the gateway, or with two, and policies of functions that there are not."""
    found = seen.infra.json("policies/operations.json")["operations"]
    named = [name for names in found.values() for name in names]
    known = requests(seen)
    yield from (f"{name} has no policy" for name in sorted(known.keys() - set(named)))
    yield from (f"there is no function {name}" for name in sorted(set(named) - known.keys()))
    yield from (f"{name} has {named.count(name)} policies" for name in sorted(set(named)) if named.count(name) > 1)
    files = {path.name for path in (seen.infra.folder / "policies").glob("*.xml")} - {"global.xml"}
    yield from (f"{name} is the policy of nothing" for name in sorted(files ^ found.keys()))


def described(seen: Seen) -> Iterator[str]:
    """Operations of `openapi.json` that are not the functions' routes and methods, with their policies."""
    document = seen.infra.json("openapi.json")
    found = {
        (path, method.upper()): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    wanted = {
        (f"/{each.binding['route']}", str(getattr(method, "value", method))): each
        for each in requests(seen).values()
        for method in each.binding["methods"]
    }
    yield from (f"{method} {path} is not described" for path, method in sorted(wanted.keys() - found.keys()))
    yield from (f"{method} {path} is nobody's" for path, method in sorted(found.keys() - wanted.keys()))
    policy_of = _policy_of(seen)
    for path, method in sorted(wanted.keys() & found.keys()):
        operation, name = found[path, method], wanted[path, method].name
        identifier = name.replace("_", "-") + ("-head" if method == "HEAD" else "")
        if operation["operationId"] != identifier:
            yield f"{method} {path}: its id is {operation['operationId']}, not {identifier}"
        if operation["x-policy"] != policy_of.get(name):
            yield f"{method} {path}: its policy is {operation['x-policy']}, not {policy_of.get(name)}"


def _policy_of(seen: Seen) -> Mapping[str, str]:
    found = seen.infra.json("policies/operations.json")["operations"]
    return {name: file for file, names in found.items() for name in names}


def deployed(seen: Seen) -> Iterator[str]:
    """Operations without their policy in API Management, and policies of operations that the import does not make."""
    plan = seen.plan
    (api,) = plan.of(f"{GATEWAY}/apis")
    document = seen.infra.json("openapi.json")
    operations = {
        each["operationId"]: each["x-policy"] for methods in document["paths"].values() for each in methods.values()
    }
    yield from (f"the API's {name} is {found}" for name, found in _unlike(api, API))
    products = plan.of(f"{GATEWAY}/products")
    yield from (f"{each.name}'s {name} is {found}" for each in products for name, found in _unlike(each, PRODUCT))
    if [each.name for each in plan.of(f"{GATEWAY}/products/apis")] != [api.name]:
        yield "the API is in no product, or another is"
    if api.at("properties", "path") != "api" or api.at("properties", "format") != "openapi+json":
        yield f"the API is at {api.at('properties', 'path')}"
    found = {
        str(each.parent.name): each
        for each in plan.of(f"{GATEWAY}/apis/operations/policies")
        if each.parent is not None
    }
    yield from (f"{name} has no policy in API Management" for name in sorted(operations.keys() - found.keys()))
    yield from (f"{name} is no operation" for name in sorted(found.keys() - operations.keys()))
    for name in sorted(operations.keys() & found.keys()):
        text = (seen.infra.folder / "policies" / operations[name]).read_text()
        if found[name].at("properties", "value") != text or found[name].at("properties", "format") not in {
            "xml",
            "rawxml",
        }:
            yield f"{name} has another policy than {operations[name]}"
    (around,) = plan.of(f"{GATEWAY}/policies")
    if around.at("properties", "value") != (seen.infra.folder / "policies" / "global.xml").read_text():
        yield "the policy around all of them is not global.xml"


def _unlike(each: Declared, wanted: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    for name, value in wanted.items():
        if each.at("properties", name) != value:
            yield name, each.at("properties", name)


def backends(seen: Seen) -> Iterator[str]:
    """Functions whose backend, chosen by the first part of their name, is not there, or leads to another app."""
    found = {str(each.name): each for each in seen.plan.of(f"{GATEWAY}/backends")}
    wanted = {name.split("_")[0] for name in requests(seen)}
    yield from (f"there is no backend {name}" for name in sorted(wanted - found.keys()))
    yield from (f"the backend {name} is for nothing" for name in sorted(found.keys() - wanted))
    apps = {f"https://{each.name}.azurewebsites.net/api": services_of(each) for each in seen.plan.of(SITES)}
    for name, backend in sorted(found.items()):
        services = apps.get(str(backend.at("properties", "url")))
        if services is None:
            yield f"the backend {name} leads to {backend.at('properties', 'url')}, which is no app"
            continue
        there = {each.name for service in services for each in seen.code[service]}
        mine = {each for each in requests(seen) if each.split("_")[0] == name}
        yield from (f"{each} is not in the app that the backend {name} leads to" for each in sorted(mine - there))
        yield from (f"the backend {name} {problem}" for problem in _breaker(backend))


def _breaker(backend: Declared) -> Iterator[str]:
    """It is for an app that is away, not for one that refuses or for a function that fails, and closes soon again."""
    if not backend.at("properties", "tls", "validateCertificateChain"):
        yield "may be anybody"
    rules: Any = backend.at("properties", "circuitBreaker", "rules")
    if len(rules or ()) != 1:
        yield "has no circuit breaker"
        return
    failing, trip = rules[0]["failureCondition"], seconds(rules[0]["tripDuration"])
    codes = {code for each in failing["statusCodeRanges"] for code in range(each["min"], each["max"] + 1)}
    if not codes or not codes <= AWAY:
        yield f"is taken to be away at {min(codes, default=None)} to {max(codes, default=None)}"
    if failing["count"] < FAILURES_MIN or (seconds(failing["interval"]) or 0) > INTERVAL_SECONDS_MAX:
        yield f"is taken to be away after {failing['count']} failures in {failing['interval']}"
    if trip is None or not 0 < trip <= TRIP_SECONDS_MAX:
        yield f"is not asked for {rules[0]['tripDuration']}"


def _let_in() -> int:
    host = json.loads((ROOT / "host.json").read_text())
    return int(host["extensions"]["http"]["maxConcurrentRequests"])


def apps(seen: Seen) -> Iterator[str]:
    """Services that no app or two apps run, and what always runs of functions that there are not."""
    run = [service for site in seen.plan.of(SITES) for service in services_of(site)]
    yield from (f"{run.count(name)} apps run {name}" for name in SERVICES if run.count(name) != 1)
    for site in seen.plan.of(SITES):
        scale: Any = site.at("properties", "functionAppConfig", "scaleAndConcurrency")
        there = {each.name: each for service in services_of(site) for each in seen.code[service]}
        for each in scale["alwaysReady"]:
            kind, _, name = str(each["name"]).partition(":")
            if kind == "function" and (name not in there or there[name].is_http):
                yield f"{site.name}: {name} is no function of its own that scales by itself"
            elif kind != "function" and kind not in GROUPS:
                yield f"{site.name}: there is no group {each['name']}"
        if scale["instanceMemoryMB"] not in MEMORY or not 1 <= scale["maximumInstanceCount"] <= INSTANCES_MAX:
            yield f"{site.name}: {scale['instanceMemoryMB']} MB and {scale['maximumInstanceCount']} instances"
        if scale["triggers"]["http"]["perInstanceConcurrency"] > _let_in():
            yield f"{site.name}: an instance is given more requests at once than host.json lets in"
        if sum(each["instanceCount"] for each in scale["alwaysReady"]) > scale["maximumInstanceCount"]:
            yield f"{site.name}: more always run than may"
    outputs = seen.plan.deployment.outputs["FUNCTION_APPS"].split(",")
    if sorted(outputs) != sorted(str(site.name) for site in seen.plan.of(SITES)):
        yield f"FUNCTION_APPS is {outputs}"
