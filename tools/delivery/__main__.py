"""`python -m tools.delivery`: from an empty subscription to a running Tessera, step by step (docs/deploy.md)."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.topology import topology
from tools.delivery import package as packages
from tools.delivery.azure import Azure
from tools.delivery.emulators import Folder, bus_answers, make_containers
from tools.delivery.infrastructure import Infrastructure, Place
from tools.delivery.options import Installation, failures_told, known
from tools.delivery.release_commands import in_order, mark, outputs, publish, refresh, releases, rollback
from tools.delivery.smoke_command import prepare, smoke, token
from tools.delivery.vault import Vault, lacking, plan

MEGABYTE: Final = 1_048_576

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


Environment = Annotated[str, typer.Option(envvar="AZURE_ENV_NAME", help="dev or prod.", callback=known)]
Location = Annotated[str, typer.Option(envvar="AZURE_LOCATION", help="The region.")]


@app.command()
def package(
    output: Annotated[Path, typer.Option(help="Where the zip is written.")] = Path("dist/tessera.zip"),
    *,
    wheels: Annotated[
        bool, typer.Option(help="Whether it brings the packages it needs, so that Azure builds nothing.")
    ] = True,
) -> None:
    """Make the package that Azure runs, and beside it what is in it: version, checksum, functions of each service."""
    try:
        with failures_told():
            made = packages.make(output, wheels=wheels)
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
    """Put the missing secrets into the vault: ours are made, others come from the environment, or are asked for."""
    with failures_told():
        place = Infrastructure(Azure(), Place(environment, "", installation))
        into = Vault(Azure(), place.vault_name())
        given = dict(os.environ)
        steps = plan(into.present(), given)
        if not dry_run:
            for step in steps:
                if step.does == "miss" and sys.stdin.isatty():  # not in a history, nor in a list of processes
                    given[step.secret.variable] = typer.prompt(step.secret.variable, hide_input=True)
            steps = into.fill(given)
    print(f"{into.name}{': nothing was changed' if dry_run else ''}")
    for step in steps:
        print(f"  {step.does:<9} {step.secret.name:<22} {step.why}")
    if dry_run and (lack := lacking(steps)):
        print(f"Without --dry-run this ends here: {lack}.")


@app.command()
def rotate(
    environment: Environment,
    name: Annotated[str, typer.Argument(help="The secret's name.")],
    installation: Installation = "tessera",
) -> None:
    """Make a new value for a secret that is ours alone. Functions see it after `refresh`, or within a day."""
    with failures_told():
        place = Infrastructure(Azure(), Place(environment, "", installation))
        number = Vault(Azure(), place.vault_name()).rotate(name)
    print(f"{name} has a new value{f', before {number - 1} older ones that stay good' if number > 1 else ''}.")
    if name != "gateway-secret":  # which the gateway reads
        print(f"Functions see it within a day, or now: python -m tools.delivery refresh --environment {environment}")


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


for command in (publish, in_order, rollback, releases, mark, outputs, refresh, smoke):
    app.command()(command)
app.command(name="smoke-event")(prepare)
app.command()(token)

if __name__ == "__main__":
    app()
