"""What runs and what should: `publish`, `rollback`, `releases`, `mark`, `outputs`, `refresh` of `tools.delivery`."""

import shlex
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.kernel.clock import utc_now
from tools.delivery import package as packages
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.commits import head
from tools.delivery.deployment import found, outputs_of, releases_account, target
from tools.delivery.history import History, Mark, NotRunning, Publication, Version
from tools.delivery.options import Deployed, Installation, Of, deployment_of, failures_told
from tools.delivery.publishing import Publishing, check_order
from tools.delivery.references import PATIENCE_SECONDS, References
from tools.delivery.releases import Releases

INSTALLATION: Final = "tessera"

Package = Annotated[Path, typer.Option(help="The zip; its manifest lies beside it.")]


def publish(
    package: Package = Path("dist/tessera.zip"),
    *,
    older: Annotated[bool, typer.Option("--older", help="Also where what runs is of a newer commit.")] = False,
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = INSTALLATION,
) -> None:
    """Keep the package, and publish it to every function app of a deployment."""
    with failures_told():
        manifest = packages.manifest_beside(package)
        publishing = _publishing(deployment, environment, installation)
        for warning in packages.misgivings(manifest, head(), strict=publishing.deployed.serves_people):
            print(f"Mind: {warning}")
        bad = publishing.releases.history().versions.get(manifest.version, Version(manifest.version)).bad_since
        if bad:
            print(
                f"Mind: {manifest.version} is marked as bad since {bad}; `mark {manifest.version} --good` lifts that."
            )
        publishing.publish(package, manifest, utc_now(), older=older)
    print(f"Published {manifest.version}. Whether it works: python -m tools.delivery smoke.")


def in_order(
    package: Package = Path("dist/tessera.zip"),
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = INSTALLATION,
) -> None:
    """Fail if what runs is of a newer commit than the package: for pipelines, before they change anything."""
    with failures_told():
        manifest = packages.manifest_beside(package)
        try:
            kept = _releases(deployment, environment, installation)
        except AzureFailed as error:
            if "DeploymentNotFound" not in str(error):
                raise
            print("Nothing is deployed here yet.")
            return
        check_order(kept, manifest)
    print(f"What runs is not newer than {manifest.version}.")


def rollback(
    *,
    to: Annotated[str, typer.Option(help="The version wanted; else the one that passed last and is not bad.")] = "",
    failed: Annotated[str, typer.Option(help="Only if this version is what runs.")] = "",
    package: Annotated[
        Path | None,
        typer.Option(help="For pipelines: only if this package is what runs, and its smoke test did not pass."),
    ] = None,
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = INSTALLATION,
) -> None:
    """Publish the version again that passed its smoke test last, and mark the one that runs as bad."""
    with failures_told(), tempfile.TemporaryDirectory(prefix="tessera-rollback-") as folder:
        publishing = _publishing(deployment, environment, installation)
        if package is not None:
            failed = packages.manifest_beside(package).version
            if stays := publishing.releases.history().stays(failed):
                print(f"{stays} Nothing was changed.")
                return
        bad, good = publishing.go_back(Path(folder), utc_now(), failed=failed, to=to)
    print(
        f"{good} runs again{f'; {bad} does not, and is marked as bad' if bad else ''}. Infrastructure was not changed."
    )


def releases(deployment: Deployed = "", environment: Of = "", installation: Installation = INSTALLATION) -> None:
    """List the versions that are kept: which one runs, when each passed its smoke test, which are bad."""
    with failures_told():
        history = _releases(deployment, environment, installation).history()
    for each in history.all():
        print(f"  {each.name:<32} {each.last(Mark.PASSED) or 'never passed':<24} {_said(each, history.running())}")


def mark(
    version: Annotated[str, typer.Argument(help="As `releases` lists it.")],
    *,
    bad: Annotated[bool, typer.Option("--bad/--good", help="Whether rollback has to keep away from it.")],
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = INSTALLATION,
) -> None:
    """Write down that a version is bad, so that no rollback goes to it; or that it is not."""
    with failures_told():
        kept = _releases(deployment, environment, installation)
        history = kept.history()
        _kept(history, version)
        kept.mark(version, Mark.BAD if bad else Mark.GOOD, history.after(utc_now(), version))
    print(f"{version} is marked as {'bad' if bad else 'good'}. What runs was not changed.")


def outputs(deployment: Deployed = "", environment: Of = "", installation: Installation = INSTALLATION) -> None:
    """Print what a deployment put out as `export` lines, for `eval "$(…)"`: the way into the runbook."""
    with failures_told():
        told = outputs_of(Azure(), deployment_of(deployment, environment, installation))
    for name, value in sorted(told.items()):
        print(f"export {name}={shlex.quote(value)}")


def refresh(
    *,
    seconds: Annotated[
        float, typer.Option(min=0, help="How long a secret that an app does not get is asked for again.")
    ] = PATIENCE_SECONDS,
    deployment: Deployed = "",
    environment: Of = "",
    installation: Installation = INSTALLATION,
) -> None:
    """Have every app fetch its secrets from the vault now, say which it got, and start it again with them."""
    with failures_told():
        azure = Azure()
        deployed = found(azure, deployment_of(deployment, environment, installation))
        References(azure, deployed, print, seconds=seconds).refresh()


def _publishing(deployment: str, environment: str, installation: str) -> Publishing:
    azure = Azure()
    return Publishing(azure, target(azure, deployment_of(deployment, environment, installation)), print)


def _releases(deployment: str, environment: str, installation: str) -> Releases:
    azure = Azure()
    return Releases(azure, releases_account(azure, deployment_of(deployment, environment, installation)))


def _kept(history: History, version: str) -> None:
    if version not in {each.name for each in history.all()}:
        raise NotRunning(f"{version} is not kept here; `releases` lists those that are. Nothing was changed.")


def _said(version: Version, runs: Publication | None) -> str:
    parts = [f"bad since {version.bad_since}"] if version.bad_since else []
    if runs is not None and runs.version == version.name:
        parts.append("runs" if runs.whole else "only some apps have it: its publication was interrupted")
    return ", ".join(parts)
