"""`python -m tools.delivery smoke`: the smoke test against a deployment, or against this machine."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console

from shared.kernel.clock import utc_now
from tools.delivery import package as packages
from tools.delivery import preparing
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.deployment import Deployment, NotDeployed, address_of, found, settings_of
from tools.delivery.here import Here, NotHere
from tools.delivery.history import Mark, Publication
from tools.delivery.insights import API, SCOPE, Insights
from tools.delivery.lease import Occupied
from tools.delivery.options import Deployed, Installation, Of, deployment_of
from tools.delivery.outcome import CheckFailed, Report
from tools.delivery.package import Manifest, PackageDamaged
from tools.delivery.releases import Releases
from tools.delivery.retention import prune
from tools.delivery.shop import REQUEST_SECONDS, Shop, ShopRefused
from tools.delivery.signing_in import Operator, SignInFailed
from tools.delivery.smoke import EXPECTED, Patience, Target
from tools.delivery.smoke import smoke as run
from tools.delivery.vault import SMOKE_PASSWORD, Vault

CANNOT_BEGIN: Final = (AzureFailed, NotDeployed, NotHere, PackageDamaged, ShopRefused, SignInFailed, httpx.HTTPError)

RECORD_ATTEMPTS_MAX: Final = 3

Event = Annotated[str, typer.Option(envvar="TESSERA_SMOKE_EVENT", help="The event it sells; smoke-event makes one.")]
Token = Annotated[str, typer.Option(envvar="TESSERA_SMOKE_TOKEN", help="The operator's; without it they sign in.")]


def smoke(  # noqa: PLR0913 - one parameter an option
    *,
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = "tessera",
    package: Annotated[
        Path | None, typer.Option(help="What has to run, its manifest beside it; without it, whatever was published.")
    ] = None,
    event: Event = "",
    token: Token = "",
    sale: Annotated[
        bool | None,
        typer.Option(
            "--sale/--no-sale", envvar="TESSERA_SMOKE_SALE", help="Whether to sell; if not said, if there is an event."
        ),
    ] = None,
    record: Annotated[bool, typer.Option(help="Write down that this version passed: rollback goes to such.")] = False,
    insights_api: Annotated[str, typer.Option(help="Where telemetry is asked for; other clouds have others.")] = API,
    ready_seconds: Annotated[float, typer.Option(min=0, help="How long a published app may take to answer.")] = 300.0,
    trace_seconds: Annotated[float, typer.Option(min=0, help="How long telemetry may take to arrive.")] = 600.0,
    junit: Annotated[Path | None, typer.Option(help="Write the outcome as JUnit, too.")] = None,
    here: Annotated[bool, typer.Option("--here", help="Test the Tessera of `make run` on this machine.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65_000, help="With --here: its port.")] = 7071,
    data: Annotated[Path, typer.Option(help="With --here: its data directory.")] = Path(".tessera"),
    telemetry: Annotated[bool, typer.Option(help="Whether to look for the trace (make run TELEMETRY=1).")] = True,
) -> None:
    """Sell a ticket and refund it, count the functions, find the trace: does what was published work?"""
    if here and (deployment or environment or package or record):
        raise typer.BadParameter("--here tests this machine, and nothing that was deployed")
    report = Report(Console(width=None if sys.stdout.isatty() else 200), (*EXPECTED, *CANNOT_BEGIN))
    with _told(report, junit):
        if here:
            run(Here(data, port).target(telemetry=telemetry), report, Patience(ready=30, telemetry=30))
            return
        azure = Azure()
        deployed = found(azure, deployment_of(deployment, environment, installation))
        test = _Test(azure, deployed, report, event, token, bool(event or token) if sale is None else sale)
        insights = Insights(insights_api, deployed.insights_app_id, lambda: azure.token(SCOPE)) if telemetry else None
        test.run(package, insights, Patience(ready=ready_seconds, telemetry=trace_seconds), record=record)


@contextmanager
def _told(report: Report, junit: Path | None) -> Iterator[None]:
    """Tell the outcome, whatever becomes of the test; it ends with 1 unless everything passed."""
    try:
        yield
    except CANNOT_BEGIN as error:
        report.failed("begins", f"Not done: {error}")
    except Exception as error:
        report.failed("begins", f"A mistake of the smoke test itself: {type(error).__name__}: {error}")
        raise
    finally:
        if junit is not None:
            report.junit(junit)
    if not report.passed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Test:
    """The smoke test of a deployment.

    :param event: what it sells
    :param token: the operator's; empty: they sign in
    :param sells: whether there is an operator yet
    """

    azure: Azure
    deployed: Deployment
    report: Report
    event: str
    token: str = field(repr=False)
    sells: bool

    @property
    def releases(self) -> Releases:
        return Releases(self.azure, self.deployed.releases_account)

    def run(self, package: Path | None, insights: Insights | None, patience: Patience, *, record: bool) -> None:
        """Test what runs, and write down what came out."""
        runs = self.report.check("what runs", lambda: self._runs(package), grave=False)
        if runs is None:
            return
        try:
            bearer = self.token if self.sells else ""
            if self.sells and not bearer:  # a directory that is away says nothing about what was published
                bearer = self.report.check("signs in", self._signs_in, grave=False) or ""
            target = _target(self.azure, self.deployed, self.releases.manifest(runs.version), self.event, bearer)
            run(replace(target, insights=insights), self.report, patience)
        except CANNOT_BEGIN as error:
            self.report.failed("begins", f"Not done: {error}")
        if record:
            self._record(runs, everywhere=insights is not None)

    def _runs(self, package: Path | None) -> tuple[Publication, str]:
        runs = self.releases.history().running()
        if runs is None:
            raise CheckFailed("nothing was published here with `publish`")
        wanted = packages.manifest_beside(package).version if package else runs.version
        if runs.version != wanted:
            raise CheckFailed(f"{runs.version} runs, and not {wanted}")
        if not runs.whole:
            raise CheckFailed(f"only some apps have {wanted}: its publication was interrupted, so publish it again")
        return runs, runs.version

    def _signs_in(self) -> tuple[str, str]:
        operator = _operator(self.azure, self.deployed.vault)
        return operator.token(), operator.username

    def _record(self, runs: Publication, *, everywhere: bool) -> None:
        if self.report.passed and not (self.sells and everywhere):
            print(f"Not all was tried, so {runs.version} is not written down as one to go back to (docs/deploy.md).")
        elif self.report.passed:
            if self.releases.history().running() != runs:
                raise NotDeployed(f"something else was published while {runs.version} was tested: test again")
            self._write_down(runs.version, Mark.PASSED)
            self._prune()
        elif self.report.undecided:
            self._write_down(runs.version, Mark.UNDECIDED)
            print(f"Nothing speaks against {runs.version}: a pipeline leaves it running, and ends as failed.")

    def _prune(self) -> None:
        """What is kept too long harms nobody: the next publication deletes it."""
        try:
            prune(self.releases, utc_now(), print)
        except (AzureFailed, Occupied) as error:
            print(f"Warning: what nobody needs any more was not deleted: {error}")

    def _write_down(self, version: str, mark: Mark) -> None:
        """What works is not ended because nobody can write that down."""
        for attempt in range(1, RECORD_ATTEMPTS_MAX + 1):
            try:
                self.releases.mark(version, mark, self.releases.history().after(utc_now(), version))
            except AzureFailed as error:
                print(f"Warning: {version} could not be marked as {mark} ({attempt} of {RECORD_ATTEMPTS_MAX}): {error}")
            else:
                return


def prepare(
    url: Annotated[str, typer.Option(envvar="GATEWAY_URL", help="The gateway.")],
    creator_token: Annotated[
        str, typer.Option(envvar="TESSERA_CREATOR_TOKEN", help="Of somebody with the role creator.")
    ],
    token: Token = "",
) -> None:
    """Make what the smoke test needs, once an environment: an organiser, its event, the operator's membership."""
    try:
        with httpx.Client(base_url=url.rstrip("/"), timeout=REQUEST_SECONDS) as http:
            correlation_id = f"smoke-{uuid.uuid4().hex[:16]}"
            operator = Shop(
                http, token or _operator(Azure(), os.environ.get("KEY_VAULT_NAME", "")).token(), correlation_id
            )
            event_id = preparing.prepare(Shop(http, creator_token, correlation_id), operator)
    except CANNOT_BEGIN as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"TESSERA_SMOKE_EVENT={event_id}")


def token(
    user: Annotated[str, typer.Option(help="The mail address of an account in the directory.")],
    password: Annotated[str, typer.Option(envvar="TESSERA_PASSWORD", help="Asked for where it is missing.")] = "",
) -> None:
    """Sign somebody in without a browser and print their access token, for `curl`."""
    password = password or getpass()  # asked for on the terminal: what is printed is the token, and nothing else
    try:
        print(_operator(Azure(), "", password=password, user=user).token())
    except CANNOT_BEGIN as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _target(azure: Azure, deployed: Deployment, manifest: Manifest, event: str, token: str) -> Target:
    if token and not event:
        raise NotDeployed("which event? Set TESSERA_SMOKE_EVENT; `python -m tools.delivery smoke-event` makes one")
    settings = {app: settings_of(azure, deployed, app) for app in deployed.function_apps}
    return Target(
        url=deployed.gateway_url.rstrip("/"),
        token=token,
        event=event,
        wanted={app: manifest.wanted(told.services) for app, told in settings.items()},
        version=manifest.version if manifest.tells_version else "",
        addresses={app: address_of(azure, deployed, app) for app in deployed.function_apps},
        told=lambda: {app: _functions(azure, deployed, app) for app in deployed.function_apps},
        insights=None,
        whole_traces=all(told.sampling >= 1 for told in settings.values()),
    )


def _functions(azure: Azure, deployed: Deployment, app: str) -> frozenset[str]:
    """What an app has; Azure names each `<app>/<function>`."""
    words = ("--resource-group", deployed.resource_group, "--name", app, "--query", "[].name")
    told: list[str] = azure.ask("functionapp", "function", "list", *words) or []
    return frozenset(name.rpartition("/")[2] for name in told)


def _operator(azure: Azure, vault: str, *, user: str = "", password: str = "") -> Operator:
    """Who signs in, as the environment says; the operator's password is in the vault, if not in the environment."""
    wanted = ("AUTH_AUTHORITIES", "TESSERA_SMOKE_CLIENT_ID", "TESSERA_SMOKE_USER")
    given: dict[str, Any] = {name: os.environ.get(name, "") for name in wanted}
    given["TESSERA_SMOKE_USER"] = user or given["TESSERA_SMOKE_USER"]
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise SignInFailed(f"no TESSERA_SMOKE_TOKEN, and to sign in set {', '.join(missing)} (docs/deploy.md)")
    password = password or os.environ.get("TESSERA_SMOKE_PASSWORD", "")
    return Operator(
        authority=given["AUTH_AUTHORITIES"].split(",")[0].strip().rstrip("/").removesuffix("/v2.0"),
        client_id=given["TESSERA_SMOKE_CLIENT_ID"],
        scope=f"{os.environ.get('AUTH_AUDIENCE', 'api://tessera')}/tickets.use",
        username=given["TESSERA_SMOKE_USER"],
        password=password or Vault(azure, vault).value(SMOKE_PASSWORD),
    )
