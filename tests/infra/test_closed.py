"""No key opens anything; what is closed is reached from its own network; roles come before who needs them."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.closed import keys, order, reachable, shut, subnets
from tests.infra.checks.network import apart, called, outward
from tests.infra.conftest import Break
from tests.infra.world import Function, Infra, Seen
from tools.bicep.errors import BicepError
from tools.plan import planned

type Check = Callable[[Seen], Iterator[str]]
PRIVATE: Final = "prod, with everything"
STORES: Final = "modules/stores.bicep"
NOTHING_OUT: Final = """{ name: 'none', properties: {
  direction: 'Outbound', access: 'Deny', priority: 100, protocol: '*', sourceAddressPrefix: '*', sourcePortRange: '*'
  destinationAddressPrefix: 'Internet', destinationPortRange: '*'
} }"""


@pytest.mark.parametrize("check", [keys, reachable, shut, subnets, order, apart, outward, called])
def test_everything_is_closed_and_still_reached(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


def test_a_network_of_our_own_closes_everything_that_it_can(infra: Infra, code: dict[str, list[Function]]) -> None:
    """So the checks above have looked at something."""
    plan = Seen(infra.planned(PRIVATE), infra, code).plan
    closed = [each.type for each in plan.declared if each.at("properties", "publicNetworkAccess") == "Disabled"]
    assert len(closed) == len(plan.of("Microsoft.Network/privateEndpoints")) == 11


def test_a_network_of_our_own_is_refused_where_the_bus_cannot_be_in_it() -> None:
    with pytest.raises(BicepError, match="privateNetworking needs prod"):
        planned("dev", variables={"TESSERA_PRIVATE_NETWORKING": "true"})


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (keys, "modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "allowSharedKey"),
        (keys, "modules/monitoring.bicep", "    DisableLocalAuth: true\n", "", "DisableLocalAuth is None"),
        (keys, "modules/functionapp.bicep", "allow: false", "allow: true", "allow is True"),
        (reachable, STORES, "group: 'Sql'", "group: 'SQL'", "it is closed, and has 0 private"),
        (reachable, STORES, "{ name: 'servicebus', id:", "// { name: 'servicebus', id:", "namespaces tessera"),
        (reachable, STORES, "zone: network!.zones.cosmos", "zone: network!.zones.blob", "its name is not in"),
        (reachable, "main.bicep", "group: 'sites'", "group: 'site'", "it is closed, and has 0 private"),
        (reachable, "modules/network.bicep", "sites: 'privatelink.azurewebsites.net'", "sites: 'privatelink.azure.net'",
         "its name is not in privatelink.azurewebsites.net"),
        (reachable, "modules/network.bicep", "parent: zones[i]", "parent: zones[0]", "nobody in the network knows"),
        (reachable, "modules/servicebus.bicep", "tier == 'Premium' ?", "tier == 'none' ?", "only Premium"),
        (subnets, "modules/network.bicep", "'Microsoft.App/environments'", "'Microsoft.Web/serverFarms'",
         "needs a subnet of Microsoft.App/environments"),
        (subnets, "modules/apps.bicep", "subnetId: subnetIds[?i]", "subnetId: subnetIds[?0]", "somebody else has"),
        (shut, "modules/gateway.bicep", "    publisherName:", "    publicNetworkAccess: 'Disabled'\n    publisherName:",
         "it has no private address"),
        (shut, "modules/monitoring.bicep", "    DisableLocalAuth: true",
         "    DisableLocalAuth: true\n    publicNetworkAccessForIngestion: 'Disabled'", "ForIngestion is Disabled"),
        (apart, "modules/network.bicep", "'10.40.${2 + i}.0/24'", "'10.40.${1 + i}.0/24'",
         "app-commerce and gateway overlap"),
        (apart, "modules/network.bicep", "'10.40.${2 + i}.0/24'", "'10.41.${2 + i}.0/24'", "is not in the network"),
        (apart, "modules/network.bicep", "'10.40.1.0/24'", "'10.40.1.0/28'", "gateway: 10.40.1.0/28 is too small"),
        (outward, "modules/network.bicep", "securityRules: []", f"securityRules: [{NOTHING_OUT}]",
         "Internet is not reached"),
        (called, "modules/gateway.bicep", "'None' : 'External'", "'None' : 'Internal'", "the gateway is Internal"),
        (called, "main.bicep", "subnetId: isPrivate ? network!.outputs.gatewaySubnetId : null", "subnetId: null",
         "not where the apps are"),
        (order, "main.bicep", "  dependsOn: [access]\n", "", "functionApps: it does not wait"),
    ],
)  # fmt: skip
def test_what_is_open_or_out_of_reach_is_found(
    broken: Break, code: dict[str, list[Function]], check: Check, file: str, old: str, new: str, found: str
) -> None:
    copy = broken(file, old, new)
    problems = list(check(Seen(copy.planned(PRIVATE), copy, code)))
    assert [each for each in problems if found in each] != [], problems
