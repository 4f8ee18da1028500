"""The vault and the packages, which come first: who deploys fills them, no key opens them, and they stay reachable."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.closed import keys, reachable
from tests.infra.checks.vault import agreed, granted, lasting
from tests.infra.conftest import Break
from tests.infra.world import Infra, Planned, Seen

type Check = Callable[[Planned], Iterator[str]]
VAULT: Final = "modules/keyvault.bicep"
RELEASES: Final = "modules/access-releases.bicep"


def closed(plan: Planned) -> Iterator[str]:
    """What a key opens, and what nobody reaches."""
    seen = Seen(plan, Infra(), {})
    yield from keys(seen)
    yield from reachable(seen)


@pytest.mark.parametrize("check", [granted, lasting, closed])
def test_who_deploys_can_fill_the_vault_and_keep_packages(infra: Infra, check: Check) -> None:
    assert list(check(infra.vault())) == []


def test_both_deployments_speak_of_the_same_vault_and_packages(infra: Infra, prod: Planned) -> None:
    assert list(agreed(infra.vault(), prod)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (granted, VAULT, "'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'",
         "'Key Vault Secrets User': '4633458b-17de-408a-b874-0445c86b69e6'", ": Key Vault Secrets Officer on kv-"),
        (granted, VAULT, "  scope: vault\n", "  scope: resourceGroup()\n", "missing: 2222"),
        (granted, RELEASES, "'ba92f5b4-2d11-453d-a403-e96b0029c9fe'", "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
         "too many: 22222222-2222-2222-2222-222222222222: Storage Blob Data Owner"),
        (granted, RELEASES, "description: 'Storage Blob Data Contributor'", "description: 'Reader'", "called Reader"),
        (granted, VAULT, "principalType: officerPrincipalType", "principalType: 'ServicePrincipal'", "person deploys"),
        (lasting, VAULT, "enableSoftDelete: true", "enableSoftDelete: false", "a deleted secret is gone"),
        (lasting, VAULT, "isProtected ? true : null", "null", "delete for good"),
        (closed, VAULT, "publicNetworkAccess: 'Enabled'", "publicNetworkAccess: 'Disabled'", "has 0 private addresses"),
        (closed, VAULT, "publicNetworkAccess: 'Enabled'",
         "publicNetworkAccess: 'Enabled'\n    networkAcls: { defaultAction: 'Deny', bypass: 'None' }",
         "has 0 private addresses"),
        (closed, VAULT, "enableRbacAuthorization: true", "enableRbacAuthorization: false", "Authorization is"),
    ],
)  # fmt: skip
def test_a_vault_that_cannot_be_filled_or_reached_is_found(
    broken: Break, check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(broken(file, old, new).vault()))
    assert [each for each in problems if found in each] != [], problems


def test_two_names_of_one_vault_are_found(broken: Break, prod: Planned) -> None:
    copy = broken("vault.bicep", "name: vaultName(subscription().subscriptionId, installation, environment)",
                  "name: vaultName(subscription().subscriptionId, environment, installation)")  # fmt: skip
    assert [each.partition(" is")[0] for each in agreed(copy.vault(), prod)] == ["KEY_VAULT_NAME"]
