"""docs/deploy.md tells of everything that somebody has to make or to set, and shows commands that there are."""

import re
import subprocess
from typing import Final

import pytest

from local.package import ROOT
from tests.infra import commands
from tests.infra.azure_pipelines import GIVEN, Files, jobs, steps
from tests.infra.github_workflows import Workflows
from tests.infra.world import Infra

DEPLOY: Final = (ROOT / "docs" / "deploy.md").read_text()
PIPELINE: Final = Files.below(ROOT)
WORKFLOWS: Final = Workflows.below(ROOT)
SIGN_IN: Final = "./.github/actions/sign-in/action.yml"


def test_what_only_an_administrator_can_make_is_told_of() -> None:
    """Variable groups, environments and connections lie outside of the files: whoever sets up must know of each."""
    whole = PIPELINE.expanded()
    text = str(whole) + str(WORKFLOWS.workflows)
    groups = {each["group"] for stage in whole["stages"] for part in (stage, *stage["jobs"])
              for each in part.get("variables", [])}  # fmt: skip
    connections = {step["inputs"]["azureSubscription"] for job in jobs(PIPELINE) for step in steps(job)
                   if "AzureCLI" in step.get("task", "")}  # fmt: skip
    environments = {job["environment"] for job in jobs(PIPELINE) if "environment" in job}
    variables = set(re.findall(r"vars\.(\w+)", text))

    identities = {f"tessera-{name}{of}" for name in ("dev", "prod") for of in ("", "-plan", "-publish")}
    of_github = {job["environment"].replace("${{ inputs.environment }}", name) for name in ("dev", "prod")
                 for workflow in WORKFLOWS.workflows.values() for job in workflow["jobs"].values()
                 if "environment" in job}  # fmt: skip
    federated = set(re.findall(r"fromJSON\(inputs\.variables\)\.(\w+)", WORKFLOWS.texts[SIGN_IN]))

    assert groups == environments == {"tessera-dev", "tessera-prod"}
    assert connections == of_github == identities, "whoever plans changes nothing, whoever publishes makes no resources"
    assert len(federated) == 3
    assert {name for name in groups | variables | federated if name not in DEPLOY} == set()
    assert {name for name in identities if name.replace("-dev", "-<environment>").replace("-prod", "-<environment>")
            not in DEPLOY} == set()  # fmt: skip


def told_in(document: str) -> list[str]:
    """The delivery commands that a document shows, without what is only a place holder."""
    shown = re.findall(r"-m tools\.delivery ([a-z][^`#|)\n]*)", document.replace("\n   ", " "))
    return [re.sub(r"<[^>]*>|…", "x", each).replace("$ENVIRONMENT", "dev").strip() for each in shown]


def test_every_command_that_documents_show_is_one_that_there_is() -> None:
    environment = {**GIVEN, "AZURE_ENV_NAME": "dev", "GATEWAY_URL": "https://g", "TESSERA_CREATOR_TOKEN": "t",
                   "TESSERA_PASSWORD": "p"}  # fmt: skip
    shown = [each for path in (ROOT / "docs").rglob("*.md") for each in told_in(path.read_text())]

    assert len(shown) > 15
    lines = "\n".join(f".venv/bin/python -m tools.delivery {each}" for each in shown)
    assert commands.refusals(lines, environment) == []
    broken = commands.refusals(lines.replace("delivery rollback", "delivery roll-back"), environment)
    assert "has no command roll-back" in broken[0]


def test_the_scripts_of_the_way_through_are_ones_to_a_shell() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DEPLOY, re.DOTALL)

    assert len(blocks) > 5
    for block in blocks:
        done = subprocess.run(
            ["bash", "-n"],
            input=re.sub(r"<[a-z ]+>", "x", block),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), block


def bicep_parameters() -> str:
    return "".join(path.read_text() for path in (ROOT / "infra").glob("*.bicepparam"))


def test_every_variable_that_infrastructure_reads_is_told_of_where_variables_are_set() -> None:
    read_by_bicep = set(re.findall(r"readEnvironmentVariable\('(\w+)'", bicep_parameters()))
    read_by_delivery = {
        name
        for path in (ROOT / "tools" / "delivery").glob("*.py")
        for name in re.findall(r'(?:envvar=|variable=|environ\.get\()"([A-Z_]+)"', path.read_text())
    }
    assert len(read_by_bicep) > 15
    assert {name for name in read_by_bicep | read_by_delivery if f"`{name}`" not in DEPLOY} == set()


def spilling(document: str) -> list[str]:
    """Commands that would print a secret: `az` answers with what it has set."""
    return [each for each in re.findall(r"az keyvault secret set[^\n)]*", document) if "--output none" not in each]


def without_length(document: str) -> list[str]:
    """Requests that curl sends without a length, which the gateway's front end refuses with 411."""
    lines = [line for line in document.splitlines() if re.search(r"\b(curl|ask)\b.* -X POST", line)]
    return [line for line in lines if not re.search(r" -d |127\.0\.0\.1", line)]


def test_no_command_prints_a_secret_or_is_refused_for_want_of_a_length() -> None:
    pages = {path.name: path.read_text() for path in (ROOT / "docs").rglob("*.md")}

    assert {name: found for name, text in pages.items() if (found := spilling(text) + without_length(text))} == {}
    assert sum(text.count("az keyvault secret set") for text in pages.values()) >= 2
    assert spilling(DEPLOY.replace(" --output none", "", 1).replace(" --output none", "", 1)) != []
    assert without_length(DEPLOY.replace("ask -d '{}'", "ask -X POST")) != []


def test_every_provider_that_infrastructure_needs_is_registered() -> None:
    [told] = re.findall(r"for each in ([\w\s\\]+); do\n  az provider register", DEPLOY)
    needed = set(
        re.findall(r"'Microsoft\.(\w+)/", "".join(path.read_text() for path in (ROOT / "infra").rglob("*.bicep")))
    )

    assert needed - {"Authorization", "Resources"} <= set(told.replace("\\", " ").split()), "those two are always there"
    assert len(needed) > 10


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_what_all_apps_together_may_take_is_what_limits_tell(environment: str) -> None:
    sites = Infra().planned(environment).of("Microsoft.Web/sites")
    scales = [site.at("properties", "functionAppConfig", "scaleAndConcurrency") for site in sites]
    instances = sum(each["maximumInstanceCount"] for each in scales)
    memory = sum(each["maximumInstanceCount"] * each["instanceMemoryMB"] for each in scales)

    assert f"| {instances} instances, {memory:,} MB |" in (ROOT / "docs" / "limits.md").read_text()
