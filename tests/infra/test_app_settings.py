"""App settings: what the code reads, what Bicep sets, what the sample lists, and what the host needs, are one set."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.settings import connections, names, package, references, refused, targets, unset
from tests.infra.conftest import Break
from tests.infra.world import VARIANTS, Infra, Seen

type Check = Callable[[Seen], Iterator[str]]
MAIN: Final = "main.bicep"
APP: Final = "modules/functionapp.bicep"
APPS: Final = "modules/apps.bicep"


@pytest.mark.parametrize("check", [names, refused, connections, targets, references, package])
def test_every_app_has_the_settings_it_needs_and_no_others(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


def test_every_setting_that_is_read_can_be_set(infra: Infra) -> None:
    assert unset([infra.planned(variant) for variant in VARIANTS]) == []


def never_set(seen: Seen) -> Iterator[str]:
    """Settings that the code reads and this deployment does not set."""
    yield from unset([seen.plan])


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (names, MAIN, "SMTP_HOST: smtp.host", "SMTP_SERVER: smtp.host", "nobody reads SMTP_SERVER"),
        (names, APP, "TESSERA_STORE: 'cosmos'", "FUNCTIONS_WORKER_RUNTIME: 'python'", "may not be set"),
        (names, APP, "TESSERA_STORE: 'cosmos'", "COSMOS: 'x'", "COSMOS is not for Bicep"),
        (never_set, MAIN, "  TESSERA_TRACE_SAMPLING: size.traceSampling\n", "", "TESSERA_TRACE_SAMPLING"),
        (refused, APP, "TESSERA_STORE: 'cosmos'", "TESSERA_STORE: 'embedded'", "must be cosmos on Azure"),
        (refused, MAIN, "SMTP_PORT: string(smtp.port)", "SMTP_PORT: 'smtp'", "SMTP_PORT"),
        (refused, MAIN, "  TESSERA_PUBLIC_URL: reachedAt\n", "", "TESSERA_PUBLIC_URL"),
        (refused, "services.json", '"ticket-key", ', "", "TESSERA_TICKET_KEY"),
        (connections, APP, "  COSMOS__credential: 'managedidentity'\n", "", "COSMOS__credential is not"),
        (connections, APP, "SERVICEBUS__clientId: identity.clientId", "SERVICEBUS__clientId: identity.principalId",
         "SERVICEBUS__clientId is"),
        (connections, "modules/identities.bicep", "clientId: apps[i].", "clientId: gateway.", "COSMOS__clientId is"),
        (targets, APP, "accountName: storageName", "accountName: name", "no storage account"),
        (targets, "modules/servicebus.bicep", "${namespace.name}.service", "${name}.eu.service", "namespace is not"),
        (targets, "modules/cosmos.bicep", "account.properties.documentEndpoint", "account.id", "its store is"),
        (targets, MAIN, "monitoring.outputs.connectionString\n  TESSERA", "monitoring.outputs.insightsId\n  TESSERA",
         "its telemetry goes to"),
        (references, APPS, "Uri=${vaultUri}secrets", "Uri=${vaultUri}keys", "is written out"),
        (references, APPS, "SecretUri=${vaultUri}secrets/${secret}", "SecretUri=${vaultUri}secrets/${secret}-old",
         "which is in no vault"),
        (references, MAIN, "MAIL_FROM: mailFrom", "MAIL_FROM: '@Microsoft.KeyVault(VaultName=a;SecretName=b)'",
         "no reference as Azure reads it"),
        (package, APP, "      minTlsVersion: '1.2'", "      linuxFxVersion: 'PYTHON|3.13'", "linuxFxVersion is not"),
        (references, MAIN, "var vaultUri = 'https://${vault}", "var vaultUri = 'https://${prefix}", "in no vault"),
        (references, APP, "keyVaultReferenceIdentity: identity.id", "keyVaultReferenceIdentity: 'SystemAssigned'",
         "references are followed by"),
        (package, APP, "version: '3.13'", "version: '3.12'", "ours is 3.13"),
        (package, APP, "'${blobEndpoint}${packagesContainer}'", "'${blobEndpoint}releases'", "its packages are in"),
        (package, APP, "userAssignedIdentityResourceId: identity.id", "userAssignedIdentityResourceId: plan.id",
         "fetched by somebody else"),
        (package, APP, "name: 'FC1', tier: 'FlexConsumption'", "name: 'Y1', tier: 'Dynamic'", "not on Flex"),
    ],
)  # fmt: skip
def test_settings_with_which_an_app_would_not_work_are_found(
    broken: Break, seen_of: Callable[[Infra], Seen], check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(seen_of(broken(file, old, new))))
    assert [each for each in problems if found in each] != [], problems
