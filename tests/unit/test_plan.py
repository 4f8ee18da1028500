"""`make plan`: what a deployment would declare, as a list, and what is wrong with it, by file and line."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tools import plan
from tools.bicep.errors import BicepError
from tools.bicep.parameters import parameters
from tools.bicep.values import Symbol

type Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, where no variable of a deployment is set."""
    for name in (*plan.EXAMPLES, "AZURE_ENV_NAME", "AZURE_LOCATION", "TESSERA_INSTALLATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(plan.ROOT)
    app = typer.Typer()
    app.command()(plan.main)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_the_list_names_files_lines_types_names_and_what_tells_most(run: Run) -> None:
    done = run("--environment", "dev")

    assert done.exit_code == 0, done.output
    text = done.output
    assert re.search(r"^infra/modules/servicebus\.bicep$", text, re.MULTILINE)
    assert re.search(r"^ +\d+  Microsoft\.ServiceBus/namespaces/queues  \S+/payments  PT15S, 10$", text, re.MULTILINE)
    assert re.search(r"containers  \S+/tessera/orders  /order_id$", text, re.MULTILINE)
    assert "Azure Service Bus Data Owner, [apps[0].properties.principalId], on" in text
    assert "Example values stand for what is not set: AUTH_AUDIENCE, AUTH_AUTHORITIES" in text


def test_prod_differs_by_its_sizes(run: Run) -> None:
    texts = {name: run("--environment", name).output for name in plan.ENVIRONMENTS}
    tiers = {name: re.search(r"ApiManagement/service  \S+  (\w+)", text) for name, text in texts.items()}
    assert {name: tier and tier[1] for name, tier in tiers.items()} == {"dev": "Developer", "prod": "StandardV2"}


def test_variables_of_the_environment_are_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_INSTALLATION", "school")
    done = run("--environment", "dev")
    assert "rg-school-dev" in done.output


def test_what_is_deployed_first_is_listed_too(run: Run) -> None:
    done = run("--environment", "prod", "--file", "vault.bicepparam")
    assert (done.exit_code, "Microsoft.KeyVault/vaults" in done.output) == (0, True), done.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--environment", "test"), "say dev or prod"),
        (("--file", "nowhere.bicepparam"), "infra/nowhere.bicepparam:1: there is no such file"),
        (("--file", "main.bicep"), "infra/main.bicep:1: it does not say which file it is for"),
    ],
)
def test_what_cannot_be_listed_is_said_and_fails(run: Run, words: tuple[str, ...], told: str) -> None:
    done = run(*words)
    assert done.exit_code != 0
    assert told in done.output.replace("\n", " ")


def test_a_file_that_is_wrong_is_said_by_line_and_fails(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(plan.INFRA, tmp_path / "infra")
    site = tmp_path / "infra" / "modules" / "site.bicep"
    site.write_text(site.read_text().replace("location: location", "location: locatoin"))
    monkeypatch.setattr(plan, "ROOT", tmp_path)

    done = run("--environment", "dev")

    assert done.exit_code == 1
    assert re.search(r"^infra/modules/site\.bicep:\d+: 'locatoin' is not defined$", done.output, re.MULTILINE)


def test_every_example_is_of_a_variable_without_which_nothing_is_deployed() -> None:
    for name in plan.EXAMPLES:
        kept = {other: value for other, value in plan.EXAMPLES.items() if other != name}
        file = "vault.bicepparam" if name == "AZURE_PRINCIPAL_ID" else "main.bicepparam"
        with pytest.raises(BicepError, match=f"the environment variable {name} is not set"):
            parameters(plan.INFRA / file, {**kept, "AZURE_ENV_NAME": "dev"})


def test_outputs_become_variables_of_the_pipeline() -> None:
    outputs = plan.planned("dev").outputs
    assert [name for name in outputs if not re.fullmatch(r"[A-Z][A-Z_]+", name)] == []
    assert isinstance(outputs["GATEWAY_URL"], Symbol)
