"""What is kept is kept as long as the documents say; what an installation is told wrongly is refused, not guessed."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.kept import backups, proof, site, store, versions
from tests.infra.conftest import Break
from tests.infra.world import Infra, Seen
from tools.bicep.errors import BicepError
from tools.plan import planned

type Check = Callable[[Seen], Iterator[str]]
STORAGE: Final = "modules/storage.bicep"
MAIN: Final = "main.bicep"
STORES: Final = "modules/stores.bicep"


@pytest.mark.parametrize("check", [store, backups, versions, site, proof])
def test_what_is_kept_is_kept_as_long_as_the_documents_say(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (store, "environments.bicep", "'Continuous30Days'\n    serviceBus", "'Continuous7Days'\n    serviceBus",
         "it is restored from Continuous7Days, not Continuous30Days"),
        (backups, STORES, "['payments']", "['payment']", "backups of payments go to 'payment'"),
        (backups, STORES, "    immutableDays: sizes.backupDays\n", "", "a backup cannot be changed for [] days"),
        (backups, "environments.bicep", "backupDays: 30", "backupDays: 3", "a backup cannot be changed for [3] days"),
        (backups, STORAGE, "allowProtectedAppendWrites: false", "allowProtectedAppendWrites: true", "written on"),
        (versions, STORAGE, "isVersioningEnabled: true", "isVersioningEnabled: immutableDays > 0", "overwritten"),
        (versions, STORAGE, "deleteRetentionPolicy: { enabled: true,", "deleteRetentionPolicy: { enabled: false,",
         "what is deleted is gone"),
        (versions, STORAGE, "daysAfterCreationGreaterThan: 30", "daysAfterCreationGreaterThan: 1",
         "old versions last 1 days"),
        (versions, STORAGE, "= if (immutableDays == 0) {", "= if (immutableDays > 0) {", "old versions last None days"),
        (versions, STORAGE, "blobTypes: ['blockBlob'] }", "blobTypes: ['blockBlob'], prefixMatch: ['a'] }",
         "old versions last None days"),
        (site, MAIN, "params: { location: siteLocation,", "params: { location: location,", "northeurope"),
        (proof, "policies/global.xml", ' client-id="{{backend-client}}"', "", "would ask as None"),
        (proof, MAIN, "      'backend-client': identities.outputs.gateway.clientId\n", "", "would ask as none"),
        (proof, MAIN, "identities.outputs.gateway.clientId", "identities.outputs.apps[0].clientId", "ask as [apps"),
        (proof, MAIN, "identities.outputs.gateway.clientId", "identities.outputs.gateway.principalId", "would ask as"),
    ],
)  # fmt: skip
def test_what_is_lost_too_early_is_found(
    broken: Break, seen_of: Callable[[Infra], Seen], check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(seen_of(broken(file, old, new))))
    assert [each for each in problems if found in each] != [], problems


@pytest.mark.parametrize("file", ["main.bicepparam", "vault.bicepparam"])
@pytest.mark.parametrize("environment", ["Prod", "production", "", "test"])
def test_an_environment_that_there_is_not_is_no_other_one(file: str, environment: str) -> None:
    with pytest.raises(BicepError, match="parameter 'environment'"):
        planned(environment, file=file)


@pytest.mark.parametrize(
    ("file", "name", "value", "refusal"),
    [
        ("main.bicepparam", "TESSERA_PRIVATE_NETWORKING", "yes", "'yes' is neither true nor false"),
        ("main.bicepparam", "TESSERA_ANONYMOUS_BROWSING", "on", "'on' is neither true nor false"),
        ("main.bicepparam", "SMTP_STARTTLS", "", "'' is neither true nor false"),
        ("main.bicepparam", "TESSERA_SITE_LOCATION", "northeurope", "parameter 'siteLocation'"),
        ("vault.bicepparam", "AZURE_PRINCIPAL_TYPE", "serviceprincipal", "parameter 'deployerPrincipalType'"),
    ],
)
def test_a_variable_that_is_told_wrongly_is_refused(file: str, name: str, value: str, refusal: str) -> None:
    with pytest.raises(BicepError, match=refusal):
        planned("prod", file=file, variables={name: value})
