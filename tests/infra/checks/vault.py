"""What is deployed before everything else: the vault and the packages, who deploys may fill, and nobody else."""

from collections.abc import Iterator
from typing import Final

from tests.infra.checks.roles import ROLES, Grant, role_of, where_of
from tests.infra.world import Planned
from tools.plan import EXAMPLES

OFFICER: Final = EXAMPLES["AZURE_PRINCIPAL_ID"]
VAULT: Final = "Microsoft.KeyVault/vaults"
ACCOUNT: Final = "Microsoft.Storage/storageAccounts"


def granted(plan: Planned) -> Iterator[str]:
    """Rights of who deploys that are missing, too many, or of another name than their number."""
    vault, account = plan.one(VAULT).full_name, plan.one(ACCOUNT).full_name
    # Secrets and the certificate are put there, and packages: nothing of them is made by Azure itself.
    wanted = {
        Grant(OFFICER, "Key Vault Secrets Officer", vault),
        Grant(OFFICER, "Key Vault Certificates Officer", vault),
        Grant(OFFICER, "Storage Blob Data Contributor", account),
    }
    found: set[Grant] = set()
    for each in plan.of("Microsoft.Authorization/roleAssignments"):
        role = ROLES.get(role_of(each.at("properties", "roleDefinitionId")), "?")
        found.add(Grant(str(each.at("properties", "principalId")), role, where_of(each)))
        if each.at("properties", "description") != role:
            yield f"{role} is called {each.at('properties', 'description')}"
        if each.at("properties", "principalType") != "User":
            yield f"{role} is given to a {each.at('properties', 'principalType')}, and a person deploys"
    yield from (f"missing: {each}" for each in sorted(wanted - found))
    yield from (f"too many: {each}" for each in sorted(found - wanted))


def lasting(plan: Planned) -> Iterator[str]:
    """A vault that forgets at once what somebody deleted."""
    found = plan.one(VAULT).properties
    if not found.get("enableSoftDelete") or found.get("softDeleteRetentionInDays", 0) < 7:
        yield "a deleted secret is gone"
    if found.get("enablePurgeProtection") is not True:
        yield "in prod somebody can delete for good"


def agreed(before: Planned, plan: Planned) -> Iterator[str]:
    """Names on which the two deployments have to agree, and do not."""
    for name in ("AZURE_RESOURCE_GROUP", "KEY_VAULT_NAME", "RELEASES_ACCOUNT"):
        first, then = before.deployment.outputs[name], plan.deployment.outputs[name]
        if first != then:
            yield f"{name} is {first}, and {then} afterwards"
