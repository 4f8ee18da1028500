"""What is closed: no keys anywhere, and, in a network of our own, nothing that its users could not reach any more."""

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.world import Planned, Seen
from tools.bicep.names import within
from tools.bicep.reader import read
from tools.bicep.statements import Module
from tools.bicep.syntax import Array, Literal, Name, Object, Property
from tools.bicep.values import Declared, Symbol, Value

# Type → where it says that keys, passwords or access policies are off, and how.
KEYLESS: Final[dict[str, tuple[tuple[tuple[str, ...], bool], ...]]] = {
    "Microsoft.DocumentDB/databaseAccounts": ((("properties", "disableLocalAuth"), True),),
    "Microsoft.Insights/components": ((("properties", "DisableLocalAuth"), True),),
    "Microsoft.KeyVault/vaults": ((("properties", "enableRbacAuthorization"), True),),
    "Microsoft.OperationalInsights/workspaces": ((("properties", "features", "disableLocalAuth"), True),),
    "Microsoft.ServiceBus/namespaces": ((("properties", "disableLocalAuth"), True),),
    "Microsoft.Storage/storageAccounts": (
        (("properties", "allowSharedKeyAccess"), False),
        (("properties", "allowBlobPublicAccess"), False),
    ),
    "Microsoft.Web/sites": ((("properties", "httpsOnly"), True),),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": ((("properties", "allow"), False),),
}
# https://learn.microsoft.com/azure/private-link/private-endpoint-dns: type → its part, and the zone of its name.
PRIVATE: Final = {
    "Microsoft.DocumentDB/databaseAccounts": ("Sql", "privatelink.documents.azure.com"),
    "Microsoft.ServiceBus/namespaces": ("namespace", "privatelink.servicebus.windows.net"),
    "Microsoft.KeyVault/vaults": ("vault", "privatelink.vaultcore.azure.net"),
    "Microsoft.Storage/storageAccounts": ("blob", "privatelink.blob.core.windows.net"),
    "Microsoft.Web/sites": ("sites", "privatelink.azurewebsites.net"),
}
# Clients call the gateway, and telemetry and those who look at it come from everywhere.
ALWAYS_PUBLIC: Final = (
    "Microsoft.ApiManagement/service", "Microsoft.Insights/components", "Microsoft.OperationalInsights/workspaces",
)  # fmt: skip
NETWORK: Final = "Microsoft.Network"
# Modules that work only once roles are given: they read secrets, or packages.
AFTER_ACCESS: Final = ("functionApps", "gateway")


def keys(seen: Seen) -> Iterator[str]:
    """Resources that a key or a password opens."""
    for kind, rules in KEYLESS.items():
        for each in seen.plan.of(kind):
            for path, wanted in rules:
                if each.at(*path) is not wanted:
                    yield f"{each}: {path[-1]} is {each.at(*path)}"


def reachable(seen: Seen) -> Iterator[str]:
    """Resources that are closed to the internet and have no private address, or one whose name leads nowhere."""
    plan = seen.plan
    for kind, (part, zone) in PRIVATE.items():
        for each in plan.of(kind):
            if is_public(each):
                continue
            if kind == "Microsoft.ServiceBus/namespaces" and each.at("sku", "name") != "Premium":
                yield f"{each}: only Premium can be closed"
            endpoints = [one for one in plan.of(f"{NETWORK}/privateEndpoints") if _leads_to(one, each, part)]
            if len(endpoints) != 1:
                yield f"{each}: it is closed, and has {len(endpoints)} private addresses"
            for endpoint in endpoints:
                if not any(
                    _named(group, endpoint, zone)
                    for group in plan.of(f"{NETWORK}/privateEndpoints/privateDnsZoneGroups")
                ):
                    yield f"{each}: its name is not in {zone}"
            yield from _zone(plan, zone)


def is_public(each: Declared) -> bool:
    """Whether a resource is reached from everywhere, by those who have rights on it."""
    rules = each.at("properties", "networkAcls", "defaultAction")
    return each.at("properties", "publicNetworkAccess") == "Enabled" and rules in {None, "Allow"}


def shut(seen: Seen) -> Iterator[str]:
    """What has no private address in any deployment of ours, and is closed to the internet all the same."""
    for kind in ALWAYS_PUBLIC:
        for each in seen.plan.of(kind):
            for name, value in each.properties.items():
                if name.startswith("publicNetworkAccess") and value != "Enabled":
                    yield f"{each}: {name} is {value}, and it has no private address"


def _leads_to(endpoint: Declared, target: Declared, part: str) -> bool:
    (link,) = endpoint.at("properties", "privateLinkServiceConnections")
    where: Value = link["properties"]["privateLinkServiceId"]
    same = isinstance(where, Symbol) and where.of is not None and where.of.key == target.key
    return same and link["properties"]["groupIds"] == [part]


def _named(group: Declared, endpoint: Declared, zone: str) -> bool:
    configs: Any = group.at("properties", "privateDnsZoneConfigs")
    return group.parent is endpoint and any(
        f"'{zone}'" in str(each["properties"]["privateDnsZoneId"]) for each in configs
    )


def _zone(plan: Planned, zone: str) -> Iterator[str]:
    if zone not in {each.name for each in plan.of(f"{NETWORK}/privateDnsZones")}:
        yield f"the zone {zone} is not declared"
    links = [each for each in plan.of(f"{NETWORK}/privateDnsZones/virtualNetworkLinks") if each.parent]
    if not any(each.parent and each.parent.name == zone for each in links):
        yield f"nobody in the network knows the zone {zone}"


def subnets(seen: Seen) -> Iterator[str]:
    """Apps and a gateway that are in no subnet made for them, while what they call is closed."""
    delegated = {
        each.key: each.at("properties", "delegations", 0, "properties", "serviceName")
        for each in seen.plan.of(f"{NETWORK}/virtualNetworks/subnets")
    }
    if not delegated:
        return
    wanted = [(each, each.at("properties", "virtualNetworkSubnetId"), "Microsoft.App/environments")
              for each in seen.plan.of("Microsoft.Web/sites")]  # fmt: skip
    gateway = seen.plan.one("Microsoft.ApiManagement/service")
    inside = gateway.at("properties", "virtualNetworkConfiguration", "subnetResourceId")
    taken: set[tuple[str, str, str]] = set()
    for each, subnet, service in [*wanted, (gateway, inside, "Microsoft.Web/serverFarms")]:
        if not isinstance(subnet, Symbol) or subnet.of is None or delegated.get(subnet.of.key) != service:
            yield f"{each}: it is in {subnet}, and needs a subnet of {service}"
        elif subnet.of.key in taken:
            yield f"{each}: somebody else has its subnet"
        else:
            taken.add(subnet.of.key)


def order(seen: Seen) -> Iterator[str]:
    """Modules that may be made before the roles that they need."""
    modules = read(seen.infra.folder / "main.bicep").of(Module)
    for name in AFTER_ACCESS:
        module = modules[name]
        body = next(node for node in (module.body, *within(module.body)) if isinstance(node, Object))
        after = [
            one.name
            for each in body.properties
            if isinstance(each, Property) and isinstance(each.key, Literal) and each.key.value == "dependsOn"
            for one in (each.value.items if isinstance(each.value, Array) else ())
            if isinstance(one, Name)
        ]
        if "access" not in after:
            yield f"{name}: it does not wait for its roles"
