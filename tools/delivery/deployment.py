"""What was deployed where: the outputs of `infra/main.bicep`, as `az` tells them, or azd by the environment.

A deployment that failed, was cancelled or still runs has no outputs. Packages need few of them, which the vault's
deployment and the apps that there are tell as well: so they can be published and gone back from meanwhile.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tools.delivery.azure import Azure


class NotDeployed(Exception):
    """There is no such deployment, or it lacks an output; the message names it."""


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Target(BaseModel):
    """Where packages are brought to: those outputs, each under its own name.

    :param function_apps: the names of the function apps
    :param releases_account: the storage account that keeps packages
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    resource_group: str = Field(alias="AZURE_RESOURCE_GROUP", min_length=1)
    function_apps: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(alias="FUNCTION_APPS", min_length=1)
    releases_account: str = Field(alias="RELEASES_ACCOUNT", min_length=1)

    @property
    def serves_people(self) -> bool:
        """Whether it is prod: its resource group says so, since azd names deployments otherwise."""
        return self.resource_group.endswith("-prod")

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """What a deployment put out: `{"NAME": {"type": …, "value": …}}`.

        Names are compared without case, because `az` writes `azurE_RESOURCE_GROUP` for `AZURE_RESOURCE_GROUP`.

        :raises NotDeployed: an output is missing
        """
        return cls._read({name.upper(): told["value"] for name, told in outputs.items()}, "its outputs")

    @classmethod
    def from_environment(cls) -> Self:
        """What azd told its hooks.

        :raises NotDeployed: an output is missing
        """
        return cls._read(os.environ, "the environment")

    @classmethod
    def _read(cls, found: Mapping[str, Any], where: str) -> Self:
        try:
            return cls.model_validate(dict(found))
        except ValidationError as error:
            missing = ", ".join(str(details["loc"][0]) for details in error.errors())
            raise NotDeployed(f"{where} lack {missing}: was infra/main.bicep deployed?") from None


class Deployment(Target):
    """All outputs that delivery needs.

    :param vault: the Key Vault
    """

    gateway_url: str = Field(alias="GATEWAY_URL", min_length=1)
    insights_app_id: str = Field(alias="APPLICATION_INSIGHTS_APP_ID", min_length=1)
    vault: str = Field(alias="KEY_VAULT_NAME", min_length=1)


def found(azure: Azure, deployment: str) -> Deployment:
    """The outputs of a deployment.

    :param deployment: its name at Azure; empty: what the environment says
    :raises NotDeployed: it has not what is needed
    :raises AzureFailed: there is none of that name
    """
    if not deployment:
        return Deployment.from_environment()
    return Deployment.from_outputs(_asked(azure, deployment) or _nothing(deployment))


def target(azure: Azure, deployment: str) -> Target:
    """Where packages are brought to, also while a deployment has no outputs: then to every function app that is there.

    :param deployment: its name at Azure; empty: what the environment says
    :raises NotDeployed: it has not what is needed
    :raises AzureFailed: there is none of that name
    """
    if not deployment:
        return Target.from_environment()
    if told := _asked(azure, deployment):
        return Target.from_outputs(told)
    first = _of_vault(azure, deployment)
    group = first["AZURE_RESOURCE_GROUP"]
    apps: list[str] | None = azure.ask("functionapp", "list", "--resource-group", group, "--query", "[].name")
    if not apps:
        raise NotDeployed(f"{group} has no function app yet: {_no_outputs(deployment)}")
    return Target.model_validate({**first, "FUNCTION_APPS": tuple(sorted(apps))})


def releases_account(azure: Azure, deployment: str) -> str:
    """The account that keeps packages; also where a deployment has no outputs, or made no app.

    :param deployment: its name at Azure; empty: what the environment says
    :raises NotDeployed: nothing tells of it
    :raises AzureFailed: there is no deployment of that name
    """
    if not deployment:
        return Target.from_environment().releases_account
    if told := _asked(azure, deployment):
        return Target.from_outputs(told).releases_account
    return _of_vault(azure, deployment)["RELEASES_ACCOUNT"]


def outputs_of(azure: Azure, deployment: str) -> dict[str, str]:
    """Everything that a deployment put out.

    :raises NotDeployed: nothing, or no name was given
    :raises AzureFailed: there is none of that name
    """
    if not deployment:
        raise NotDeployed("which deployment? Say --environment dev or prod; with azd: `azd env get-values`")
    told = _asked(azure, deployment) or _nothing(deployment)
    return {name.upper(): str(output["value"]) for name, output in told.items()}


def _of_vault(azure: Azure, deployment: str) -> dict[str, str]:
    """What comes first: its outputs that packages need."""
    told = {name.upper(): str(output["value"]) for name, output in _asked(azure, f"{deployment}-vault").items()}
    if not {"AZURE_RESOURCE_GROUP", "RELEASES_ACCOUNT"} <= set(told):
        raise NotDeployed(
            f"{_no_outputs(deployment)}, and {deployment}-vault has not those it needs either: `vault`, by whoever "
            "deploys, changes nothing that is there and puts them out again"
        )
    return told


def _nothing(deployment: str) -> NoReturn:
    raise NotDeployed(
        f"{_no_outputs(deployment)}. `az deployment sub show --name {deployment} --query properties` says which; wait, "
        "or run `infrastructure` again. Packages can be published and gone back from meanwhile."
    )


def _no_outputs(deployment: str) -> str:
    return f"{deployment} put out nothing, as one that failed, was cancelled or still runs"


def _asked(azure: Azure, deployment: str) -> dict[str, Any]:
    told: dict[str, Any] | None = azure.ask(
        "deployment", "sub", "show", "--name", deployment, "--query", "properties.outputs"
    )
    return told or {}


class AppSettings(BaseModel):
    """The settings of an app that delivery has to know.

    :param services: what it runs
    :param sampling: the share of its traces that is collected
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    services: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(alias="TESSERA_SERVICES", min_length=1)
    sampling: float = Field(alias="TESSERA_TRACE_SAMPLING", default=1.0)


def settings_of(azure: Azure, deployed: Target, app: str) -> AppSettings:
    """The settings of an app; those that are secrets are references, and not asked for.

    :raises AzureFailed: Azure does not tell
    :raises NotDeployed: the app lacks one
    """
    told = azure.ask(
        "functionapp", "config", "appsettings", "list", "--resource-group", deployed.resource_group, "--name", app,
        "--query", "[?starts_with(name, 'TESSERA_')].{name: name, value: value}",
    )  # fmt: skip
    try:
        return AppSettings.model_validate({each["name"]: each["value"] for each in told or []})
    except ValidationError as error:
        missing = ", ".join(str(details["loc"][0]) for details in error.errors())
        raise NotDeployed(f"{app} has no good setting {missing}") from None


def address_of(azure: Azure, deployed: Target, app: str) -> str:
    """Where an app itself is reached, past the gateway; only its health answers there.

    :raises AzureFailed: Azure does not tell
    :raises NotDeployed: it has no address
    """
    # Of Flex Consumption `az` 2.91 tells what Azure does, one level deeper than of other plans.
    words = ("--resource-group", deployed.resource_group, "--name", app)
    host: str | None = azure.ask(
        "functionapp", "show", *words, "--query", "defaultHostName || properties.defaultHostName"
    )
    if not host:
        raise NotDeployed(f"{app} has no address")
    return host if "://" in host else f"https://{host}"
