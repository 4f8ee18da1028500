"""A network of our own: subnets beside each other, and no rule that stops what Tessera says to others."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any, Final

from tests.infra.world import Seen

NETWORK: Final = "Microsoft.Network"
# Of both Flex Consumption and API Management's Standard v2 a /27 is the least.
SMALLEST: Final = 27
# How API Management is in a network: Standard v2 calls out of it, and is called from outside.
INTEGRATED: Final = {True: "External", False: "None"}


def apart(seen: Seen) -> Iterator[str]:
    """Subnets that overlap, are too small, or are not in their network."""
    for network in seen.plan.of(f"{NETWORK}/virtualNetworks"):
        prefixes: Any = network.at("properties", "addressSpace", "addressPrefixes")
        space = [IPv4Network(each) for each in prefixes]
        subnets = {
            str(each.name): IPv4Network(str(each.at("properties", "addressPrefix")))
            for each in seen.plan.of(f"{NETWORK}/virtualNetworks/subnets")
            if each.parent is network
        }
        for name, subnet in subnets.items():
            if not any(subnet.subnet_of(each) for each in space):
                yield f"{name}: {subnet} is not in the network"
            if subnet.prefixlen > SMALLEST:
                yield f"{name}: {subnet} is too small"
        for (name, one), (other, two) in combinations(sorted(subnets.items()), 2):
            if one.overlaps(two):
                yield f"{name} and {other} overlap"


def outward(seen: Seen) -> Iterator[str]:
    """Rules and routes that keep us from Stripe, the mail server, sign-in and Azure itself."""
    groups = seen.plan.of(f"{NETWORK}/networkSecurityGroups")
    rules = [rule for each in groups for rule in _rules(each.at("properties", "securityRules"))]
    rules += [each.properties for each in seen.plan.of(f"{NETWORK}/networkSecurityGroups/securityRules")]
    for rule in rules:
        if rule["direction"] == "Outbound" and rule["access"] != "Allow":
            yield f"{rule['destinationAddressPrefix']} is not reached: a rule denies it"
    yield from (f"{each}: it leads traffic elsewhere" for each in seen.plan.of(f"{NETWORK}/routeTables"))


def _rules(found: Any) -> list[dict[str, Any]]:
    return [each["properties"] for each in found or ()]


def called(seen: Seen) -> Iterator[str]:
    """A gateway that nobody reaches, or that reaches no app."""
    gateway = seen.plan.one("Microsoft.ApiManagement/service")
    inside = gateway.at("properties", "virtualNetworkConfiguration", "subnetResourceId") is not None
    if gateway.at("properties", "virtualNetworkType") != INTEGRATED[inside]:
        yield f"the gateway is {gateway.at('properties', 'virtualNetworkType')}, not {INTEGRATED[inside]}"
    if inside is not bool(seen.plan.of(f"{NETWORK}/virtualNetworks")):
        yield "the gateway is not where the apps are"
