"""`python -m tools.delivery`: from an empty subscription to a running Tessera, step by step (docs/deploy.md)."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.topology import topology
from tools.delivery import package as packages
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.deployment import NotDeployed, found
from tools.delivery.emulators import Folder, NotReady, bus_answers, make_containers
from tools.delivery.infrastructure import ENVIRONMENTS, Infrastructure, Place
from tools.delivery.package import PackageDamaged
from tools.delivery.publishing import Publishing
from tools.delivery.releases import NothingToGoBackTo
from tools.delivery.smoke_command import prepare, smoke, token
from tools.delivery.variables import VariablesRefused
from tools.delivery.vault import CannotRotate, SecretMissing, Vault, plan

MEGABYTE: Final = 1_048_576
EXPECTED: Final = (
    AzureFailed, CannotRotate, NothingToGoBackTo, NotDeployed, NotReady, PackageDamaged, SecretMissing,
    VariablesRefused,
)  # fmt: skip

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _known(given: str) -> str:
    if given not in ENVIRONMENTS:
        raise typer.BadParameter(f"it is one of {', '.join(ENVIRONMENTS)}")
    return given


Environment = Annotated[str, typer.Option(envvar="AZURE_ENV_NAME", help="dev or prod.", callback=_known)]
Location = Annotated[str, typer.Option(envvar="AZURE_LOCATION", help="The region.")]
Installation = Annotated[str, typer.Option(envvar="TESSERA_INSTALLATION", help="Begins all names.")]
Deployed = Annotated[
    str, typer.Option(help="The deployment's name at Azure; without it the environment tells, as in azd's hooks.")
]
Package = Annotated[Path, typer.Option(help="The zip; its manifest lies beside it.")]


@contextmanager
def failures_told() -> Iterator[None]:
    """End with code 1 and one line for what can go wrong without a mistake of ours."""
    try:
        yield
    except EXPECTED as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@app.command()
def package(output: Annotated[Path, typer.Option(help="Where the zip is written.")] = Path("dist/tessera.zip")) -> None:
    """Make the package that Azure runs, and beside it what is in it: version, checksum, functions of each service."""
    try:
        made = packages.make(output)
    except subprocess.CalledProcessError as error:
        print(f"Not done: the package cannot be made or loaded.\n{error.stderr}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{output}: version {made.version}, {output.stat().st_size / MEGABYTE:.1f} MB")
    for service, functions in made.functions.items():
        print(f"  {service:<9} {len(functions):>3} functions")
    print("Health, metrics and the API's description are in each service. Publishing it: docs/deploy.md.")


@app.command()
def vault(environment: Environment, location: Location, installation: Installation = "tessera") -> None:
    """Deploy what comes first: the resource group, the vault for secrets, the store of packages."""
    with failures_told():
        name = Infrastructure(Azure(), Place(environment, location, installation)).vault()
    print(f"The vault is {name}.")


@app.command()
def secrets(
    environment: Environment,
    installation: Installation = "tessera",
    dry_run: Annotated[bool, typer.Option(help="Only say what would be done.")] = False,
) -> None:
    """Put the missing secrets into the vault: ours are made, others come from the environment."""
    with failures_told():
        place = Infrastructure(Azure(), Place(environment, "", installation))
        into = Vault(Azure(), place.vault_name())
        steps = plan(into.present(), os.environ) if dry_run else into.fill(os.environ)
    print(f"{into.name}{': nothing was changed' if dry_run else ''}")
    for step in steps:
        print(f"  {step.does:<9} {step.secret.name:<22} {step.why}")


@app.command()
def rotate(
    environment: Environment,
    name: Annotated[str, typer.Argument(help="The secret's name.")],
    installation: Installation = "tessera",
) -> None:
    """Make a new value for a secret that is ours alone. Functions see it when they start, or within a day."""
    with failures_told():
        place = Infrastructure(Azure(), Place(environment, "", installation))
        number = Vault(Azure(), place.vault_name()).rotate(name)
    print(f"{name} has a new value{f', before {number - 1} older ones that stay good' if number > 1 else ''}.")


@app.command()
def infrastructure(
    environment: Environment,
    location: Location,
    installation: Installation = "tessera",
    what_if: Annotated[Path | None, typer.Option(help="Change nothing: write what would change to this file.")] = None,
) -> None:
    """Deploy infra/main.bicep with what the environment says, or tell what that would change."""
    with failures_told():
        place = Infrastructure(Azure(), Place(environment, location, installation))
        if what_if is not None:
            what_if.parent.mkdir(parents=True, exist_ok=True)
            what_if.write_text(place.what_if())
            print(f"What would change is in {what_if}; nothing was changed.")
            return
        print(f"Deployed as {place.deploy()}.")


@app.command()
def publish(package: Package = Path("dist/tessera.zip"), deployment: Deployed = "") -> None:
    """Keep the package, and publish it to every function app of a deployment."""
    with failures_told():
        azure = Azure()
        manifest = packages.manifest_beside(package)
        Publishing(azure, found(azure, deployment), print).publish(package, manifest)
    print(f"Published {manifest.version}. Whether it works: python -m tools.delivery smoke.")


@app.command()
def rollback(
    package: Package = Path("dist/tessera.zip"),
    deployment: Deployed = "",
    failed: Annotated[str, typer.Option(help="The version that runs and should not; else the package's.")] = "",
) -> None:
    """Publish the version again that passed its smoke test last, instead of the one that runs."""
    with failures_told(), tempfile.TemporaryDirectory(prefix="tessera-rollback-") as folder:
        azure = Azure()
        failed = failed or packages.manifest_beside(package).version
        release = Publishing(azure, found(azure, deployment), print).go_back(failed, Path(folder))
    print(f"{release.version} runs again; {failed} does not. Infrastructure was not changed.")


@app.command()
def releases(deployment: Deployed = "") -> None:
    """List the versions that are kept, and when each passed its smoke test."""
    with failures_told():
        azure = Azure()
        for each in Publishing(azure, found(azure, deployment), print).releases.all():
            print(f"  {each.version:<32} {each.passed_at or 'never passed'}")


@app.command()
def emulators(
    folder: Annotated[Path, typer.Option(help="Where what containers are given is kept.")] = Path(".containers"),
    endpoint: Annotated[str, typer.Option(help="Make the containers of this Cosmos DB emulator, as it answers.")] = "",
    bus: Annotated[str, typer.Option(help="Wait for the Service Bus emulator at this connection string.")] = "",
) -> None:
    """Prepare what Microsoft's emulators are given; then make Cosmos DB's containers, and wait for the bus."""
    given = Folder(folder)
    given.prepare(topology())
    if endpoint:
        os.environ["SSL_CERT_FILE"] = str((folder / "trusted.pem").resolve())
        with failures_told():
            made = asyncio.run(make_containers(endpoint, given.secrets()["COSMOS_KEY"], topology()))
        print(f"{endpoint} has {', '.join(made)}.")
    if bus:
        with failures_told():
            asyncio.run(bus_answers(bus, topology()))
        print("Service Bus has its queues.")
    print(f"{folder} has what compose.yaml needs.")


app.command()(smoke)
app.command(name="smoke-event")(prepare)
app.command()(token)

if __name__ == "__main__":
    app()
