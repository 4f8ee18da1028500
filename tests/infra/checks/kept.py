"""What is kept, how long, and from whom: backups, versions of blobs; and as whom the gateway proves itself."""

from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree

from tests.infra.world import Planned, Seen
from tools.bicep.values import Declared, Symbol
from tools.plan import planned

_ACCOUNT: Final = "Microsoft.Storage/storageAccounts"
_BLOBS: Final = f"{_ACCOUNT}/blobServices"
_FOLDERS: Final = f"{_BLOBS}/containers"
_GATEWAY: Final = "Microsoft.ApiManagement/service"
VERSION_DAYS: Final = range(7, 91)  # long enough to notice, short enough not to pile up
# How far back the store can be restored, and for how many days nobody can delete a backup of payment data.
RESTORABLE: Final = {"dev": "Continuous7Days", "prod": "Continuous30Days"}
BACKUP_DAYS: Final = {"dev": 1, "prod": 30}


def _environment(plan: Planned) -> str:
    return plan.variant.partition(",")[0]


def store(seen: Seen) -> Iterator[str]:
    """A store that cannot be restored as far back as the runbook says."""
    account = seen.plan.one("Microsoft.DocumentDB/databaseAccounts")
    found = account.at("properties", "backupPolicy", "continuousModeProperties", "tier")
    wanted = RESTORABLE[_environment(seen.plan)]
    if found != wanted:
        yield f"it is restored from {found}, not {wanted}"


def backups(seen: Seen) -> Iterator[str]:
    """An account for payment data in which a backup could be changed, or that has no place for one."""
    plan = seen.plan
    name = plan.deployment.outputs["BACKUP_STORAGE"]
    (folder,) = [each for each in plan.of(_FOLDERS) if str(_home(each).name) == str(name)]
    if folder.name != "payments":
        yield f"backups of payments go to '{folder.name}'"
    rules = [each for each in plan.of(f"{_FOLDERS}/immutabilityPolicies") if each.parent is folder]
    days = [each.at("properties", "immutabilityPeriodSinceCreationInDays") for each in rules]
    if days != [BACKUP_DAYS[_environment(plan)]]:
        yield f"a backup cannot be changed for {days} days"
    if any(each.at("properties", "allowProtectedAppendWrites") for each in rules):
        yield "a backup can be written on"


def versions(seen: Seen) -> Iterator[str]:
    """Accounts in which what was overwritten is gone, or stays for ever."""
    for plan in (seen.plan, seen.infra.vault()):
        ends = {_home(each).key: each for each in plan.of(f"{_ACCOUNT}/managementPolicies")}
        fixed = {_home(each).key for each in plan.of(f"{_FOLDERS}/immutabilityPolicies")}
        for each in plan.of(_BLOBS):
            account = _home(each)
            if each.at("properties", "isVersioningEnabled") is not True:
                yield f"{account.name}: what is overwritten is gone"
            if not each.at("properties", "deleteRetentionPolicy", "enabled"):
                yield f"{account.name}: what is deleted is gone"
            if account.key not in fixed and _days(ends.get(account.key)) not in VERSION_DAYS:
                yield f"{account.name}: old versions last {_days(ends.get(account.key))} days"


def _days(policy: Declared | None) -> int | None:
    """When the only rule, for all block blobs, deletes an old version."""
    rules: Any = policy.at("properties", "policy", "rules") if policy else []
    if len(rules) != 1 or rules[0]["definition"]["filters"] != {"blobTypes": ["blockBlob"]}:
        return None
    days: int = rules[0]["definition"]["actions"]["version"]["delete"]["daysAfterCreationGreaterThan"]
    return days


def _home(each: Declared) -> Declared:
    """The account that something is in."""
    return _home(each.parent) if each.parent else each


def site(seen: Seen) -> Iterator[str]:
    """A website that follows the other parts to a region where there are none."""
    elsewhere = planned("prod", infra=seen.infra.folder, variables={"AZURE_LOCATION": "northeurope"})
    found = [each.at("location") for each in elsewhere.declared() if each.type == "Microsoft.Web/staticSites"]
    if found != ["westeurope"]:
        yield f"the website is in {found}"


def proof(seen: Seen) -> Iterator[str]:
    """A gateway that would ask for a token as somebody it is not: it has user-assigned identities alone."""
    gateway = seen.plan.one(_GATEWAY)
    given: Any = gateway.at("identity", "userAssignedIdentities")
    identities = seen.plan.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    own = [each.key for each in identities if f"[{each.symbol}.id]" in given]
    values = {str(each.name): each.at("properties", "value") for each in seen.plan.of(f"{_GATEWAY}/namedValues")}
    for path in sorted((seen.infra.folder / "policies").glob("*.xml")):
        for element in ElementTree.parse(path).iter("authentication-managed-identity"):  # noqa: S314 (our own file)
            value = values.get(element.get("client-id", "").strip("{}"))
            right = isinstance(value, Symbol) and value.of is not None and [value.of.key] == own
            if not right or getattr(value, "path", None) != ("properties", "clientId"):
                yield f"{path.name}: the gateway would ask as {value}"
