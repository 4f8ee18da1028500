"""`make plan`: what a deployment of infra/main.bicep would declare, worked out here, without Azure.

It knows neither prices nor quotas nor what is there already: `az deployment sub what-if` tells the difference
(docs/deploy.md). It reads the same environment variables as a deployment; what is missing has a value of `EXAMPLES`.
"""

import os
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer

from tools.bicep.deployment import Deployment, deploy
from tools.bicep.errors import BicepError, Finding
from tools.bicep.lint import warnings
from tools.bicep.names import findings
from tools.bicep.parameters import parameters
from tools.bicep.resources import no_two
from tools.bicep.values import Declared
from tools.delivery.variables import Variables, VariablesRefused

ROOT: Final = Path(__file__).parents[1]
INFRA: Final = ROOT / "infra"
ENVIRONMENTS: Final = ("dev", "prod")
# For variables that have no default, since every installation has its own.
EXAMPLES: Final = {
    "AZURE_LOCATION": "westeurope",
    "AUTH_AUDIENCE": "00000000-0000-0000-0000-000000000003",
    "AUTH_AUTHORITIES": "https://tickets.ciamlogin.com/11111111-1111-1111-1111-111111111111/v2.0",
    "SMTP_HOST": "smtp.example.org",
    "MAIL_FROM": "tickets@example.org",
    "TESSERA_ALERT_MAIL": "operators@example.org",
    "TESSERA_BUDGET_FROM": "2026-12-01",
    "AZURE_PRINCIPAL_ID": "22222222-2222-2222-2222-222222222222",
}
# Type → what of its properties is worth a place in the list.
_TELLING: Final[dict[str, tuple[tuple[str | int, ...], ...]]] = {
    "microsoft.authorization/roleassignments": (("properties", "description"), ("properties", "principalId")),
    "microsoft.documentdb/databaseaccounts/sqlroleassignments": (
        ("properties", "scope"),
        ("properties", "principalId"),
    ),
    "microsoft.documentdb/databaseaccounts/sqldatabases/containers": (
        ("properties", "resource", "partitionKey", "paths", 0),
        ("properties", "options", "autoscaleSettings", "maxThroughput"),
    ),
    "microsoft.servicebus/namespaces/queues": (("properties", "lockDuration"), ("properties", "maxDeliveryCount")),
    "microsoft.servicebus/namespaces/topics/subscriptions": (("properties", "forwardTo"),),
    "microsoft.servicebus/namespaces/topics/subscriptions/rules": (("properties", "sqlFilter", "sqlExpression"),),
    "microsoft.web/sites": (("properties", "functionAppConfig", "scaleAndConcurrency", "instanceMemoryMB"),),
}
_USUAL: Final = (("sku", "name"), ("sku", "capacity"), ("kind",))
_WIDEST: Final = 100


def planned(
    environment: str, *, infra: Path = INFRA, file: str = "main.bicepparam", variables: Mapping[str, str] | None = None
) -> Deployment:
    """What a deployment to an environment would be.

    :param environment: dev or prod
    :param variables: environment variables that are set; others are those of `EXAMPLES`

    :raises BicepError: it cannot be worked out
    """
    known = {**EXAMPLES, **(variables or {}), "AZURE_ENV_NAME": environment}
    path, values = parameters(infra / file, known)
    return deploy(path, values)


def wrong(deployment: Deployment, infra: Path = INFRA) -> list[Finding]:
    """What is wrong with the files of a folder, and with a deployment of them."""
    twice = [Finding(place, problem) for place, problem in no_two(list(deployment.declared()))]
    paths = sorted(infra.rglob("*.bicep*"))
    return [found for path in paths for found in (*findings(path), *warnings(path))] + twice


def listed(deployment: Deployment) -> list[str]:
    """The resources as lines, by the file that declares them."""
    lines: list[str] = []
    for path, group in groupby(sorted(deployment.declared(), key=_order), key=lambda each: each.place.file):
        lines += ["", str(path)]
        lines += [f"  {each.place.line:>4}  {each.type}  {each.full_name}  {_telling(each)}".rstrip() for each in group]
    return lines


def _order(each: Declared) -> tuple[Path, int, str]:
    return each.place.file, each.place.line, each.full_name


def _telling(each: Declared) -> str:
    found = [each.at(*path) for path in (*_USUAL, *_TELLING.get(each.type.lower(), ()))]
    if isinstance(each.scope, Declared):
        found.append(f"on {each.scope.full_name}")
    text = ", ".join(str(value) for value in found if value is not None)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def main(
    environment: Annotated[str, typer.Option(help="dev or prod")] = "dev",
    file: Annotated[str, typer.Option(help="the parameters file, in infra/")] = "main.bicepparam",
) -> None:
    """List what a deployment would declare."""
    if environment not in ENVIRONMENTS:
        raise typer.BadParameter(f"{environment!r}: say {' or '.join(ENVIRONMENTS)}")
    try:
        Variables.read({**EXAMPLES, **os.environ, "AZURE_ENV_NAME": environment})
    except VariablesRefused as refused:
        raise typer.BadParameter(str(refused)) from None
    os.chdir(ROOT)
    problems, lines = _worked_out(environment, file)
    for line in lines:
        print(line)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(code=1)
    examples = sorted(EXAMPLES.keys() - os.environ.keys())
    print(f"\nThese would be in {environment}. In brackets: what only Azure knows. Names end as Azure's do not.")
    print(f"Example values stand for what is not set: {', '.join(examples) or 'none'}.")


def _worked_out(environment: str, file: str) -> tuple[list[Finding], list[str]]:
    try:
        deployment = planned(environment, infra=Path("infra"), file=file, variables=os.environ)
        return wrong(deployment, Path("infra")), listed(deployment)
    except BicepError as refused:
        return [Finding.of(refused)], []


if __name__ == "__main__":
    typer.run(main)
