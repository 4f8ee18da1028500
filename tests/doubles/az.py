"""A double of the `az` program: the commands that delivery uses, over a folder; anything else is refused as `az` does.

That `az` 2.91 takes these words and options was tried with the real program, which then asked for `az login`.
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

HOME = Path(os.environ["AZ_DOUBLE"])


def read(name: str) -> Any:
    path = HOME / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(name: str, value: Any) -> None:
    (HOME / f"{name}.json").write_text(json.dumps(value))


def refuse(said: str) -> NoReturn:
    print(f"ERROR: {said}", file=sys.stderr)
    raise SystemExit(1)


def secret_list(given: argparse.Namespace) -> Any:
    """Those that belong to a certificate only if asked for, as the service does."""
    if waiting := read("faults").get("not_seen_yet"):
        write("faults", {**read("faults"), "not_seen_yet": waiting - 1})
        refuse("(Forbidden) Caller is not authorized to perform action on resource")
    managed = read("certificates") if given.include_managed != "true" else {}
    return sorted(set(read("secrets")) - set(managed))


def secret_show(given: argparse.Namespace) -> Any:
    return read("secrets").get(given.name) or refuse(f"(SecretNotFound) {given.name}")


def secret_set(given: argparse.Namespace) -> Any:
    if given.name == read("faults").get("refuses"):
        refuse("(Forbidden) Caller is not authorized")
    write("secrets", {**read("secrets"), given.name: Path(given.file).read_text()})
    write("modes", {**read("modes"), given.name: oct(Path(given.file).stat().st_mode & 0o777)})
    return "https://vault/secrets/id"


def certificate_create(given: argparse.Namespace) -> Any:
    policy = json.loads(Path(given.policy.removeprefix("@")).read_text())
    write("certificates", {**read("certificates"), given.name: read("certificates").get(given.name, 0) + 1})
    write("secrets", {**read("secrets"), given.name: f"a certificate of {policy['keyProperties']['keyType']}"})
    return "https://vault/certificates/id"


def blobs(given: argparse.Namespace) -> Path:
    """Where they are, for whoever has a role on their account."""
    roles = read("roles").get(str(given.account_name))
    held = (roles or {}).get(read("claims")["oid"], "")
    reads = sys.argv[3] in {"list", "download"}
    if roles is not None and held != CONTRIBUTOR and not (reads and held == READER):
        refuse("\nYou do not have the required permissions needed to perform this operation.")
    folder = HOME / "blobs" / str(given.account_name) / str(given.container_name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def blob_list(given: argparse.Namespace) -> Any:
    folder = blobs(given)
    found = {path.relative_to(folder).as_posix(): path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}
    if given.query == "[].name":
        return sorted(found)
    return [{"name": name, "at": datetime.fromtimestamp(at, UTC).isoformat()} for name, at in sorted(found.items())]


def blob_upload(given: argparse.Namespace) -> Any:
    target = blobs(given) / given.name
    if read("faults").get("uploads", "nothing") in given.name:
        refuse("This request is not authorized to perform this operation using this permission.")
    if target.exists() and given.overwrite == "false":
        refuse("The specified blob already exists. ErrorCode:BlobAlreadyExists")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(given.file, target)
    return {"etag": "1"}


def blob_download(given: argparse.Namespace) -> Any:
    source = blobs(given) / given.name
    if not source.exists():
        refuse("The specified blob does not exist. ErrorCode:BlobNotFound")
    shutil.copyfile(source, given.file)
    return {"name": given.name}


def blob_delete(given: argparse.Namespace) -> Any:
    if read("faults").get("deletions", "nothing") in given.name:
        refuse("This request is not authorized to perform this operation using this permission.")
    (blobs(given) / given.name).unlink()


def lease_on(given: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """The lease on a blob, and the time: Azure's clock, which stands where tests say it does."""
    if not (blobs(given) / given.blob_name).exists():
        refuse("The specified blob does not exist. ErrorCode:BlobNotFound")
    return read("leases").get(given.blob_name, {}), read("clock").get("now", time.time())


def lease_is(given: argparse.Namespace, **lease: Any) -> Any:
    write("leases", {**read("leases"), given.blob_name: lease})
    return lease["id"]


def lease_acquire(given: argparse.Namespace) -> Any:
    lease, now = lease_on(given)
    seconds = int(given.lease_duration)
    if seconds != -1 and not 15 <= seconds <= 60:
        refuse("The value for one of the HTTP headers is not in the correct format. ErrorCode:InvalidHeaderValue")
    if lease and not lease["broken"] and lease["until"] > now and lease["id"] != given.proposed_lease_id:
        refuse("There is already a lease present.\nErrorCode:LeaseAlreadyPresent")
    until = now + seconds if seconds > 0 else now + 1e9
    return lease_is(given, id=given.proposed_lease_id, until=until, seconds=seconds, broken=False)


def lease_renew(given: argparse.Namespace) -> Any:
    """Also one whose time is over, if nobody else took it."""
    lease, now = lease_on(given)
    if "renewals" in read("faults"):
        refuse(read("faults")["renewals"])
    if lease.get("id") != given.lease_id:
        refuse("The lease ID specified did not match.\nErrorCode:LeaseIdMismatchWithLeaseOperation")
    if lease["broken"]:
        refuse("The lease has been broken.\nErrorCode:LeaseIsBrokenAndCannotBeRenewed")
    return lease_is(given, **{**lease, "until": now + lease["seconds"]})


def lease_release(given: argparse.Namespace) -> Any:
    lease, _ = lease_on(given)
    if lease.get("id") != given.lease_id:
        refuse("The lease ID specified did not match.\nErrorCode:LeaseIdMismatchWithLeaseOperation")
    write("leases", {name: each for name, each in read("leases").items() if name != given.blob_name})


def lease_break(given: argparse.Namespace) -> Any:
    lease, _ = lease_on(given)
    if not lease:
        refuse("There is currently no lease on the blob.\nErrorCode:LeaseNotPresentWithLeaseOperation")
    lease_is(given, **{**lease, "broken": True})
    return int(given.lease_break_period)


def config_zip(given: argparse.Namespace) -> Any:
    if given.name in read("faults").get("apps", []):
        refuse("Deployment was unsuccessful")
    says = read("faults").get("says", {}).get(given.name, [])
    if says:
        write("faults", {"says": {**read("faults")["says"], given.name: says[1:]}})
    if says and says[0] and not any(each in says[0] for each in ("on-going", "successful")):
        refuse(says[0])
    target = HOME / "published" / given.name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(given.src, target)
    if says and says[0]:
        refuse(says[0])
    return {"remote": given.build_remote}


def app_list(given: argparse.Namespace) -> Any:
    return sorted(read("settings"), reverse=True) if given.resource_group == "rg-tessera-dev" else []


def function_list(given: argparse.Namespace) -> Any:
    return [f"{given.name}/{name}" for name in read("functions")[given.name]]


def app_show(given: argparse.Namespace) -> Any:
    if given.query == "id":
        return f"{SITES}{given.name}"
    hosts = read("hosts")
    return hosts[given.name] if given.name in hosts else refuse(f"(ResourceNotFound) {given.name}")


def app_restart(given: argparse.Namespace) -> None:
    """It starts with what was fetched last, and not with what the vault has."""
    write("started", {**read("started"), given.name: read("fetched").get(given.name, {})})


def rest(given: argparse.Namespace) -> Any:
    """References of an app's settings: fetched from the vault when that is asked for, kept until then, one a page."""
    path, _, asked = given.url.partition("?")
    app, _, verb = path.removeprefix(SITES).partition("/config/configreferences/appsettings")
    if not path.startswith(SITES) or "api-version=" not in asked or (given.method, verb) not in REFERENCES:
        refuse(f"Not Found({path})")
    wanted, vault = read("references")[app], read("secrets")
    if given.method == "post":
        write("fetched", {**read("fetched"), app: {name: vault.get(secret) for name, secret in wanted.items()}})
        late = read("faults").get("late", [])
        write("faults", {**read("faults"), "denied": late[0] if late else [], "late": late[1:]})
    denied, fetched = read("faults").get("denied", []), read("fetched").get(app, {})
    page = int(asked.partition("page=")[2] or 0)
    more = {"nextLink": f"{path}?api-version=1&page={page + 1}"} if page + 1 < len(wanted) else {}
    shown = list(wanted.items())[page : page + 1]
    return {"value": [reference(name, secret, fetched, denied) for name, secret in shown], **more}


def reference(name: str, secret: str, fetched: dict[str, Any], denied: list[str]) -> dict[str, Any]:
    status = "AccessToKeyVaultDenied" if secret in denied else "Resolved" if fetched.get(name) else "SecretNotFound"
    good = {"activeVersion": hashlib.sha256((fetched.get(name) or "").encode()).hexdigest()[:32]}
    why = good if status == "Resolved" else {"details": "Key Vault reference was not able to be resolved."}
    return {"name": name, "properties": {"secretName": secret, "status": status, **why}}


def settings_list(given: argparse.Namespace) -> Any:
    return [{"name": name, "value": value} for name, value in read("settings").get(given.name, {}).items()]


def token(given: argparse.Namespace) -> Any:
    claims = base64.urlsafe_b64encode(json.dumps(read("claims")).encode()).decode().rstrip("=")
    return f"h.{claims}.{given.scope.split('/')[2]}"


def deployment_show(given: argparse.Namespace) -> Any:
    """What it put out: nothing, where it failed, was cancelled or still runs."""
    made = read("deployments")
    return made[given.name] if given.name in made else refuse(f"(DeploymentNotFound) {given.name}")


def deployment_create(given: argparse.Namespace) -> Any:
    told = {name: value for name, value in os.environ.items() if name.startswith(("AZURE_", "TESSERA_"))}
    write("created", {**read("created"), given.name: {"parameters": given.parameters, "told": told}})
    return "Succeeded"


def what_if(given: argparse.Namespace) -> Any:
    if given.validation_level != "ProviderNoRbac":
        refuse("(AuthorizationFailed) whoever asks may not write what it tells of")
    return f"Resource changes: 1 to create in {given.location}."


CONTRIBUTOR, READER = "Storage Blob Data Contributor", "Storage Blob Data Reader"
VAULT, BLOB = ["--vault-name"], ["--account-name", "--auth-mode", "--container-name"]
LEASE = [*BLOB, "--blob-name"]
SITES = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Web/sites/"
REFERENCES = (("post", "/refresh"), ("get", ""))
APP, SUB = ["--resource-group", "--name"], ["--name", "--location"]
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], Any], list[str]]] = {
    "keyvault secret list": (secret_list, VAULT),
    "keyvault secret show": (secret_show, [*VAULT, "--name"]),
    "keyvault secret set": (secret_set, [*VAULT, "--name", "--file", "--encoding"]),
    "keyvault certificate create": (certificate_create, [*VAULT, "--name", "--policy"]),
    "storage blob list": (blob_list, [*BLOB, "--num-results"]),
    "storage blob upload": (blob_upload, [*BLOB, "--name", "--file", "--overwrite"]),
    "storage blob download": (blob_download, [*BLOB, "--name", "--file"]),
    "storage blob delete": (blob_delete, [*BLOB, "--name"]),
    "storage blob lease acquire": (lease_acquire, [*LEASE, "--lease-duration", "--proposed-lease-id"]),
    "storage blob lease renew": (lease_renew, [*LEASE, "--lease-id"]),
    "storage blob lease release": (lease_release, [*LEASE, "--lease-id"]),
    "storage blob lease break": (lease_break, [*LEASE, "--lease-break-period"]),
    "functionapp deployment source config-zip": (config_zip, [*APP, "--src", "--build-remote", "--timeout"]),
    "functionapp list": (app_list, ["--resource-group"]),
    "functionapp function list": (function_list, APP),
    "functionapp show": (app_show, APP),
    "functionapp restart": (app_restart, APP),
    "rest": (rest, ["--method", "--url"]),
    "functionapp config appsettings list": (settings_list, APP),
    "account get-access-token": (token, ["--scope"]),
    "deployment sub show": (deployment_show, ["--name"]),
    "deployment sub create": (deployment_create, [*SUB]),
    "deployment sub what-if": (what_if, [*SUB, "--validation-level"]),
}


def main() -> None:
    with (HOME / "commands").open("a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    words = sys.argv[1 : next(i for i, word in enumerate(sys.argv) if word.startswith("--"))]
    if " ".join(words) not in COMMANDS:
        refuse(f"'{' '.join(words)}' is misspelled or not recognized by the system.")
    do, options = COMMANDS[" ".join(words)]
    parser = argparse.ArgumentParser(exit_on_error=True, allow_abbrev=False)
    for option in options:
        parser.add_argument(option, required=True)
    for option in ("--include-managed", "--query", "--output", "--subscription", "--template-file"):
        parser.add_argument(option)
    parser.add_argument("--parameters", nargs="+")
    for flag in ("--only-show-errors", "--no-progress"):
        parser.add_argument(flag, action="store_true")
    given = parser.parse_args(sys.argv[1 + len(words) :])
    with (HOME / "turns").open("w") as turns:
        if "lease" in words:  # two at once see one after the other
            fcntl.flock(turns, fcntl.LOCK_EX)
        answer = do(given)
    print(json.dumps(answer) if given.output == "json" else answer)


if __name__ == "__main__":
    main()
