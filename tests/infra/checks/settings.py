"""App settings: what the code reads, what Bicep sets, what the sample lists, and what the host needs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from local.describe import only
from shared.settings import Settings, SettingsRefused, variable
from tests.infra.world import Function, Planned, Seen, app_settings, services_of
from tests.unit.test_settings_sample import DIRECTORY, ENOUGH, MAY_BE, SAMPLE
from tools.bicep.values import Declared, Symbol, Template, Value, symbols

SITES: Final = "Microsoft.Web/sites"
READ: Final = {variable(name) for name in Settings.model_fields}
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
NOT_ON_FLEX: Final = frozenset(
    {
        "ENABLE_ORYX_BUILD", "FUNCTIONS_EXTENSION_VERSION", "FUNCTIONS_MAX_HTTP_CONCURRENCY",
        "FUNCTIONS_WORKER_PROCESS_COUNT", "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED", "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_WORKER_RUNTIME_VERSION", "SCM_DO_BUILD_DURING_DEPLOYMENT", "TZ",
        "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", "WEBSITE_CONTENTOVERVNET", "WEBSITE_CONTENTSHARE",
        "WEBSITE_DNS_SERVER", "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT", "WEBSITE_MOUNT_ENABLED",
        "WEBSITE_NODE_DEFAULT_VERSION", "WEBSITE_RUN_FROM_PACKAGE", "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
        "WEBSITE_TIME_ZONE", "WEBSITE_USE_PLACEHOLDER", "WEBSITE_VNET_ROUTE_ALL",
    }
)  # fmt: skip
# The platform says these itself.
AZURES_OWN: Final = frozenset({"WEBSITE_INSTANCE_ID", "WEBSITE_POD_NAME", "WEBSITE_SITE_NAME", "WEBSITE_SKU"})
# What Flex Consumption sets: no WEBSITE_INSTANCE_ID, by which the Functions host itself tells it from App Service.
FLEX: Final = {"WEBSITE_POD_NAME": "p-1", "WEBSITE_SKU": "FlexConsumption"}
# For doubles and laptops: on Azure these would be a second way, or a key.
NEVER_ON_AZURE: Final = frozenset({"COSMOS", "SERVICEBUS", "DIRECTORY_CA", "TESSERA_DATA", "AzureWebJobsStorage"})
# Good as they are for everybody; whoever needs another sets it by hand.
LEFT_AT_DEFAULT: Final = {
    "TESSERA_ORDER_DEADLINE_SECONDS": "15 minutes, which the alerts and the runbook speak of",
    "STRIPE_API_BASE": "Stripe has one address",
    "DIRECTORY_GRAPH_BASE": "Azure's public cloud has one Graph",
    "GATEWAY_PRINCIPAL_ID": "the gateway proves itself with its secret",
}
REFERENCE: Final = re.compile(r"@Microsoft\.KeyVault\(SecretUri=https://([\w-]+)\.vault\.azure\.net/secrets/([\w-]+)\)")
# What Azure and the vault would give.
GIVEN: Final = {
    **ENOUGH,
    **MAY_BE,
    **DIRECTORY,
    "SMTP_PASSWORD": "secret",
    "COSMOS__accountEndpoint": "https://tessera.documents.azure.com:443/",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=44444444-4444-4444-4444-444444444444;"
    "IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/",
}
CLIENT_ID: Final = "55555555-5555-5555-5555-555555555555"


def names(seen: Seen) -> Iterator[str]:
    """Settings that may not be set, or that nobody reads: the sample lists what the code and the host do, no others."""
    sample = set(json.loads(SAMPLE.read_text())["Values"])
    for site in seen.plan.of(SITES):
        for name in app_settings(site):
            if name in NOT_ON_FLEX:
                yield f"{site.name}: {name} may not be set on Flex Consumption"
            elif name in AZURES_OWN | NEVER_ON_AZURE:
                yield f"{site.name}: {name} is not for Bicep to set"
            elif name not in sample:
                yield f"{site.name}: nobody reads {name}"


def unset(plans: list[Planned]) -> list[str]:
    """Settings that the code reads and no app is ever given."""
    found = {name for plan in plans for site in plan.of(SITES) for name in app_settings(site)}
    return sorted(READ - found - LEFT_AT_DEFAULT.keys() - AZURES_OWN - NEVER_ON_AZURE)


def refused(seen: Seen) -> Iterator[str]:
    """What the apps would say when they start with these settings."""
    for site in seen.plan.of(SITES):
        given = {name: _given(name, value) for name, value in app_settings(site).items()}
        with only({**given, **FLEX, "WEBSITE_SITE_NAME": str(site.name)}):
            try:
                Settings.from_environment()
            except SettingsRefused as problem:
                yield f"{site.name}: {problem}"


def _given(name: str, value: Value) -> str:
    if name in GIVEN and (isinstance(value, Symbol) or REFERENCE.fullmatch(str(value))):
        return GIVEN[name]
    parts = value.parts if isinstance(value, Template) else (value,)
    return "".join(CLIENT_ID if _is_client_id(part) else str(part) for part in parts)


def _is_client_id(part: Value) -> bool:
    return isinstance(part, Symbol) and part.path == ("properties", "clientId")


def connections(seen: Seen) -> Iterator[str]:
    """Connections by identity that lack something, or use somebody else's."""
    for site in seen.plan.of(SITES):
        settings = app_settings(site)
        identities = [str(name) for name in site.at("identity", "userAssignedIdentities") or {}]
        used = {
            each.binding["connection"] for name in services_of(site) for each in seen.code[name] if not _has_none(each)
        }
        for prefix in sorted({"AzureWebJobsStorage", *used}):
            if settings.get(f"{prefix}__credential") != "managedidentity":
                yield f"{site.name}: {prefix}__credential is not managedidentity"
            who = settings.get(f"{prefix}__clientId")
            mine = isinstance(who, Symbol) and who.of is not None and [f"[{who.of.symbol}.id]"] == identities
            if not (mine and _is_client_id(who)):
                yield f"{site.name}: {prefix}__clientId is {who}, and the app is {identities}"


def targets(seen: Seen) -> Iterator[str]:
    """Connections that lead to something that is not declared."""
    plan = seen.plan
    storages = {each.name for each in plan.of("Microsoft.Storage/storageAccounts")}
    bus = plan.one("Microsoft.ServiceBus/namespaces")
    for site in plan.of(SITES):
        settings = app_settings(site)
        if settings.get("AzureWebJobsStorage__accountName") not in storages:
            yield f"{site.name}: no storage account {settings.get('AzureWebJobsStorage__accountName')}"
        if settings.get("SERVICEBUS__fullyQualifiedNamespace") != f"{bus.name}.servicebus.windows.net":
            yield f"{site.name}: its namespace is not {bus.name}"
        store = settings.get("COSMOS__accountEndpoint")
        if not _is_of(store, plan.one("Microsoft.DocumentDB/databaseAccounts"), "properties", "documentEndpoint"):
            yield f"{site.name}: its store is {store}"
        watched = settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
        if not _is_of(watched, plan.one("Microsoft.Insights/components"), "properties", "ConnectionString"):
            yield f"{site.name}: its telemetry goes to {watched}"


def _has_none(function: Function) -> bool:
    return "connection" not in function.binding


def _is_of(value: Value, resource: Declared, *path: str) -> bool:
    return isinstance(value, Symbol) and value.of is not None and (value.of.key, value.path) == (resource.key, path)


def references(seen: Seen) -> Iterator[str]:
    """Secrets that are no references, and references that lead nowhere or that nobody may follow."""
    secret = {variable(name) for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    plan = seen.plan
    vault = plan.deployment.outputs["KEY_VAULT_NAME"]
    kept = {name for each in seen.infra.json("services.json").values() for name in each["secrets"]}
    for site in plan.of(SITES):
        if symbols_of(site.at("properties", "keyVaultReferenceIdentity")) != symbols_of_identity(site):
            yield f"{site.name}: references are followed by {site.at('properties', 'keyVaultReferenceIdentity')}"
        for name, value in app_settings(site).items():
            found = REFERENCE.fullmatch(str(value))
            if name in secret and found is None:
                yield f"{site.name}: {name} is written out"
            elif found is not None and (found[1] != vault or found[2] not in kept):
                yield f"{site.name}: {name} is {value}, which is in no vault"
            elif found is None and "@Microsoft" in str(value):
                yield f"{site.name}: {name} is no reference as Azure reads it: {value}"


def symbols_of(value: Value) -> list[str]:
    """How a value's symbols are written."""
    return [str(each) for each in symbols(value)]


def symbols_of_identity(site: Declared) -> list[str]:
    """How the ids of an app's identities are written."""
    return list(site.at("identity", "userAssignedIdentities") or {})


def package(seen: Seen) -> Iterator[str]:
    """Apps whose package or language is not where Azure looks for it."""
    plan = seen.plan
    version = (Path(__file__).parents[3] / ".python-version").read_text().strip()
    folders = {each.full_name for each in plan.of("Microsoft.Storage/storageAccounts/blobServices/containers")}
    plans = {each.key: each for each in plan.of("Microsoft.Web/serverfarms")}
    for site in plan.of(SITES):
        config: Any = site.at("properties", "functionAppConfig")
        if config["runtime"] != {"name": "python", "version": ".".join(version.split(".")[:2])}:
            yield f"{site.name}: its language is {config['runtime']}, ours is {version}"
        storage = config["deployment"]["storage"]
        account = app_settings(site)["AzureWebJobsStorage__accountName"]
        home = next(iter(symbols(storage["value"])), None)
        folder = str(storage["value"]).rpartition("]")[2]
        if home is None or home.of is None or home.of.name != account or f"{account}/default/{folder}" not in folders:
            yield f"{site.name}: its packages are in {storage['value']}, which is not in {account}"
        if symbols_of(storage["authentication"]["userAssignedIdentityResourceId"]) != symbols_of_identity(site):
            yield f"{site.name}: its packages are fetched by somebody else"
        farm = site.at("properties", "serverFarmId")
        if plans[farm.of.key].at("sku", "name") != "FC1":
            yield f"{site.name}: it is not on Flex Consumption"
        if "linuxFxVersion" in (site.at("properties", "siteConfig") or {}):
            yield f"{site.name}: linuxFxVersion is not for Flex Consumption"
