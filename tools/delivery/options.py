"""What several delivery commands are told, and how each says that it did not work."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from tools.delivery.azure import AzureFailed
from tools.delivery.commits import NoRepository
from tools.delivery.deployment import NotDeployed
from tools.delivery.emulators import NotReady
from tools.delivery.history import NothingToGoBackTo, NotRunning
from tools.delivery.infrastructure import ENVIRONMENTS, Place
from tools.delivery.lease import LeaseLost, Occupied
from tools.delivery.package import Older, PackageDamaged, Unfit
from tools.delivery.publishing import Overtaken
from tools.delivery.references import Unresolved
from tools.delivery.variables import VariablesRefused
from tools.delivery.vault import CannotRotate, SecretMissing

EXPECTED: Final = (
    AzureFailed, CannotRotate, LeaseLost, NoRepository, NothingToGoBackTo, NotDeployed, NotReady, NotRunning, Occupied,
    Older, Overtaken, PackageDamaged, SecretMissing, Unfit, Unresolved, VariablesRefused,
)  # fmt: skip


def known(given: str) -> str:
    """An environment there is.

    :raises typer.BadParameter: another one
    """
    if given not in ENVIRONMENTS:
        raise typer.BadParameter(f"it is one of {', '.join(ENVIRONMENTS)}")
    return given


def known_or_none(given: str) -> str:
    """An environment there is, or none.

    :raises typer.BadParameter: another one
    """
    return known(given) if given else ""


Installation = Annotated[str, typer.Option(envvar="TESSERA_INSTALLATION", help="Begins all names.")]
# Without the variable AZURE_ENV_NAME: azd sets it, and names its deployments otherwise.
Of = Annotated[
    str, typer.Option("--environment", help="dev or prod: its deployment by `infrastructure`.", callback=known_or_none)
]
Deployed = Annotated[
    str,
    typer.Option(help="Or the deployment's name at Azure; without both the environment tells, as in azd's hooks."),
]


def deployment_of(deployment: str, environment: str, installation: str) -> str:
    """The name of the deployment that is meant; empty: the one that the environment tells of.

    :raises typer.BadParameter: two are meant
    """
    if deployment and environment:
        raise typer.BadParameter("--deployment and --environment both name one: give either")
    return Place(environment, "", installation).deployment if environment else deployment


@contextmanager
def failures_told() -> Iterator[None]:
    """End with code 1 and one line for what can go wrong without a mistake of ours."""
    try:
        yield
    except EXPECTED as error:
        print(f"Not done: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
