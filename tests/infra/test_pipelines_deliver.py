"""One table says what is delivered, in which order, as whom, with which words; both pipelines are compared with it."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from local.package import ROOT
from shared.settings import SERVICES
from tests.infra.azure_pipelines import Files
from tests.infra.delivered import Job, on_azure, on_github
from tests.infra.github_workflows import Workflows
from tests.infra.yamls import read
from tools.delivery.__main__ import app
from tools.delivery.azure import DEPLOYMENT_SECONDS, PUBLISHING_SECONDS
from tools.delivery.pushing import LOOK_SECONDS, LOOKS

PIPELINE: Final = Files.below(ROOT)
WORKFLOWS: Final = Workflows.below(ROOT)
GATES: Final = ("check", "containers", "emulators", "suite")


def delivery(environment: str, after: tuple[str, ...]) -> dict[str, Job]:
    """The jobs that bring a version to an environment."""
    whose, publisher = f"tessera-{environment}", f"tessera-{environment}-publish"
    package, told = "--package dist/tessera.zip", f"--environment {environment}"
    return {
        f"{environment} what-if": Job(("package",), "main", 45, (
            "make setup",
            "make bicep",
            f"as {whose}-plan: delivery infrastructure {told} --what-if out/what-if-{environment}.txt",
            f"keep what-if-{environment} from out",
        )),
        f"{environment} infrastructure": Job(after, "main", 210, (
            "every commit",
            "make setup",
            "fetch package",
            f"as {whose}: delivery in-order {told} {package}",
            f"as {whose}: delivery vault {told}",
            f"as {whose}: delivery secrets {told}",
            f"as {whose}: delivery infrastructure {told}",
        ), whose),
        f"{environment} package": Job((f"{environment} infrastructure",), "main", 240, (
            "every commit",
            "make setup",
            "fetch package",
            f"as {publisher}: delivery publish {told} {package}",
            f"as {publisher}: delivery smoke {told} {package} --record --junit out/smoke.xml",
            "? even if failed: tell out/smoke.xml",
        ), whose),
        f"{environment} rollback": Job((f"{environment} package",), "main and package failed or was ended", 240, (
            "make setup",
            "fetch package",
            f"as {publisher}: delivery rollback {told} {package}",
            f"as {publisher}: delivery smoke {told}",
        ), whose),
    }  # fmt: skip


TABLE: Final = {
    "check": Job((), "", 20, ("make setup", "make check")),
    "suite": Job((), "", 45, ("make setup", "make test")),
    "emulators": Job((), "", 60, (
        "make setup",
        "make emulators",
        "? make contract",
        "make contract-ran",
        "? even if failed: tell out/contract.xml",
        "always: make emulators-end",
    )),
    "containers": Job((), "", 45, ("make setup", "make containers")),
    "package": Job(GATES, "", 15, ("make setup", "make package", "keep package from dist")),
    **delivery("dev", ("dev what-if",)),
    **delivery("prod", ("dev infrastructure", "dev package", "dev rollback", "prod what-if")),
}  # fmt: skip
# What Azure DevOps has and GitHub has not: which environment's approval and lock, whose variables, which agents.
OF_AZURE: Final = {
    **{f"{name} what-if": ("", f"tessera-{name}", None) for name in ("dev", "prod")},
    **{f"{name} infrastructure": (f"tessera-{name}", f"tessera-{name}", None) for name in ("dev", "prod")},
    **{
        f"{name} {job}": (f"tessera-{name}", f"tessera-{name}", {"vmImage": "ubuntu-24.04"})
        for name in ("dev", "prod") for job in ("package", "rollback")
    },
}  # fmt: skip


def of_azure(files: Files) -> dict[str, tuple[str, str, Any]]:
    found = {}
    for stage in files.expanded()["stages"]:
        for job in stage["jobs"]:
            if stage["stage"] not in {"Check", "Test", "Package"}:
                where = stage["stage"].removeprefix("Plan").lower()
                name = str(job.get("deployment") or job["job"]).replace("_", "-")
                [group] = [each["group"] for each in stage["variables"]]
                found[f"{where} {name}"] = (job.get("environment", ""), group, job.get("pool"))
    return found


def test_both_pipelines_deliver_what_the_table_says() -> None:
    assert on_azure(PIPELINE) == TABLE
    assert on_github(WORKFLOWS) == TABLE
    assert of_azure(PIPELINE) == OF_AZURE


def test_both_begin_with_a_change_of_main_and_a_request_for_one() -> None:
    pipeline, workflow = PIPELINE.expanded(), WORKFLOWS.workflows["./.github/workflows/deliver.yml"]
    of_main = {"branches": ["main"]}

    assert (pipeline["trigger"], pipeline["pr"]) == ({"branches": {"include": ["main"]}},) * 2
    assert workflow["on"] == {"push": of_main, "pull_request": of_main}
    assert "concurrency" not in workflow, "one that waits for its approval would hold up every other"


AZURE, DEPLOYING, PLANNING = "azure-pipelines.yml", "pipelines/deploy.yml", "pipelines/what-if.yml"
DELIVER, CALLED, PLAN = (f"./.github/workflows/{name}.yml" for name in ("deliver", "deploy", "what-if"))
ENVIRONMENT, INPUT = "${{ parameters.environment }}", "${{ inputs.environment }}"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (DEPLOYING, f"publish --environment {ENVIRONMENT}", "publish --environment dev"),
        (DEPLOYING, f"azureSubscription: tessera-{ENVIRONMENT}-publish", "azureSubscription: tessera-dev-publish"),
        (DEPLOYING, f"- group: tessera-{ENVIRONMENT}", "- group: tessera-dev"),
        (DEPLOYING, "    lockBehavior: sequential\n", ""),
        (DEPLOYING, "keepAzSessionActive: true", "keepAzSessionActive: false"),
        (DEPLOYING, "                      set -euo pipefail\n", ""),
        (DEPLOYING, f"environment: tessera-{ENVIRONMENT}\n", "environment: tessera-dev\n"),
        (DEPLOYING, "                  parameters: { commits: 0 }\n", ""),
        (DEPLOYING, "'Failed', 'Canceled'", "'Failed'"),
        (DEPLOYING, "and(always(), in(", "and(succeeded(), in("),
        (DEPLOYING, "artifact: package", "artifact: packages"),
        (DEPLOYING, "package/tessera.zip", "packages/tessera.zip"),
        (DEPLOYING, " --record", ""),
        (DEPLOYING, "        pool: ${{ parameters.pool }}\n", ""),
        (DEPLOYING, "                  continueOnError: true\n", ""),
        (PLANNING, f"azureSubscription: tessera-{ENVIRONMENT}-plan", f"azureSubscription: tessera-{ENVIRONMENT}"),
        (PLANNING, " --what-if out/", " --what-if dist/"),
        (AZURE, "after: [Dev, PlanProd]", "after: [PlanProd]"),
        (AZURE, "dependsOn: [Check, Test]", "dependsOn: [Check]"),
        (AZURE, "artifact: package", "artifact: zip"),
        (AZURE, "- publish: dist", "- publish: out"),
        (AZURE, "make contract-ran", "make contract"),
    ],
)
def test_a_pipeline_that_delivers_otherwise_is_seen(path: str, old: str, new: str) -> None:
    assert old in PIPELINE.texts[path]
    broken = Files({**PIPELINE.texts, path: PIPELINE.texts[path].replace(old, new, 1)})

    assert (on_azure(broken), of_azure(broken)) != (TABLE, OF_AZURE)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (CALLED, f"environment: tessera-{INPUT}\n", "environment: tessera-dev\n"),
        (CALLED, f"    environment: tessera-{INPUT}\n", ""),
        (CALLED, "fetch-depth: 0", "fetch-depth: 1"),
        (CALLED, "== 'failure' ||", "== 'success' ||"),
        (CALLED, "if: always() && (needs.package", "if: success() && (needs.package"),
        (CALLED, " --record", ""),
        (CALLED, "id-token: write", "id-token: none"),
        (CALLED, "    needs: infrastructure\n", ""),
        (CALLED, "with: { name: package, path: dist }", "with: { name: package, path: out }"),
        (CALLED, '      - uses: ./.github/actions/sign-in\n        with: { variables: "${{ toJSON(vars) }}" }\n', ""),
        (CALLED, f"publish --environment {INPUT}", "publish --environment dev"),
        (CALLED, "smoke.xml\n      - if:", "smoke.xml\n        continue-on-error: true\n      - if:"),
        (PLAN, "-plan\n", "\n"),
        (DELIVER, "needs: [dev, plan-prod]", "needs: [plan-prod]"),
        (DELIVER, "needs: [check, suite, emulators, containers]", "needs: check"),
        (DELIVER, "if: github.ref == 'refs/heads/main'", "if: github.ref == 'refs/heads/next'"),
        (DELIVER, "cancel-in-progress: false", "cancel-in-progress: true"),
        (DELIVER, "with: { environment: prod", "with: { environment: dev"),
        (DELIVER, "    timeout-minutes: 60\n", "    timeout-minutes: 60\n    continue-on-error: true\n"),
    ],
)
def test_a_workflow_that_delivers_otherwise_is_seen(path: str, old: str, new: str) -> None:
    assert old in WORKFLOWS.texts[path]
    broken = Workflows({**WORKFLOWS.texts, path: WORKFLOWS.texts[path].replace(old, new, 1)})

    assert on_github(broken) != TABLE


def test_a_run_of_github_is_told_every_variable_that_it_reads_and_no_other() -> None:
    """`PATH` among an environment's variables would be one of every command."""
    [telling, _] = read(WORKFLOWS.texts["./.github/actions/sign-in/action.yml"])["runs"]["steps"]
    names = set(telling["env"]["NAMES"].split())
    wanted = set(re.findall(r"readEnvironmentVariable\('(\w+)'", (ROOT / "infra" / "main.bicepparam").read_text()))
    group: Any = typer.main.get_command(app)
    parameters = [
        each for name in ("smoke", "infrastructure", "publish") for each in group.get_command(None, name).params
    ]
    options = {each.envvar for each in parameters if each.envvar} - {"AZURE_ENV_NAME", "TESSERA_SMOKE_TOKEN"}

    assert wanted | options <= names | {"AZURE_ENV_NAME"}
    assert names - wanted - options == {"TESSERA_SMOKE_CLIENT_ID", "TESSERA_SMOKE_USER"}, "to sign the operator in"


def test_only_named_variables_of_one_line_come_to_commands(tmp_path: Path) -> None:
    [telling, _] = read(WORKFLOWS.texts["./.github/actions/sign-in/action.yml"])["runs"]["steps"]
    given = (
        '{"SMTP_HOST": "mail.example.org", "SMTP_PORT": "", "PATH": "/tmp", "MAIL_FROM": "a@example.org\\nPATH=/tmp"}'
    )
    environment = {**os.environ, "VARIABLES": given, "NAMES": telling["env"]["NAMES"], "GITHUB_ENV": f"{tmp_path}/env"}

    subprocess.run(["bash", "-ec", telling["run"]], env=environment, check=True, timeout=60)

    assert (tmp_path / "env").read_text() == "SMTP_HOST=mail.example.org\n"


def test_jobs_may_take_as_long_as_all_they_wait_for_may_take() -> None:
    group: Any = typer.main.get_command(app)
    patience = {each.name: each.default for each in group.get_command(None, "smoke").params}
    setup, refund = 600, 120
    an_app = PUBLISHING_SECONDS + LOOK_SECONDS + 60
    publishing = len(SERVICES) * an_app + 2 * 600  # no more apps than services; and the package kept, or fetched
    testing = patience["ready_seconds"] + patience["trace_seconds"] + refund

    for environment in ("dev", "prod"):
        limits = {
            name: TABLE[f"{environment} {name}"].minutes * 60 for name in ("infrastructure", "package", "rollback")
        }
        assert limits["infrastructure"] >= setup + 2 * DEPLOYMENT_SECONDS
        assert min(limits["package"], limits["rollback"]) >= setup + publishing + testing
    assert PUBLISHING_SECONDS >= 2 * LOOKS + 5 * 60, "az looks, then asks the host; what it hands over takes time, too"
    assert max(job.minutes for job in TABLE.values()) <= 360, "longer than either service lets a job run"


def target(name: str) -> str:
    [found] = re.findall(rf"^{name}:.*?##.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return str(found)


def test_what_gates_call_in_the_makefile_ends_with_their_failure() -> None:
    recipes = {
        name: target(name) for name in ("check", "test", "contract", "contract-ran", "package", "bicep", "containers")
    }

    assert [
        name for name, lines in recipes.items() if re.search(r"\|\| *(true|:)|@true|^\t-|; *true", lines, re.MULTILINE)
    ] == []
    assert "tools.delivery package" in recipes["package"]
    [keywords] = re.findall(r'-k "([^"]+)"', recipes["contract"])
    fixtures = (ROOT / "tests" / "contract" / "conftest.py").read_text()
    assert [word for word in keywords.split(" or ") if f'["{word}"] if ' not in fixtures] == []


@pytest.mark.parametrize(
    ("says", "verb", "code"),
    [
        ("", "build", 0),
        ("WARNING: A new Bicep release is available: v9", "build", 0),
        ("WARNING: infra/main.bicep(1,7) : Warning no-unused-params: x", "build", 1),
        ("infra/main.bicep(1,7) : Warning BCP037: x", "lint", 1),
        ("infra/main.bicepparam(1,7) : Warning BCP037: x", "build-params", 1),
    ],
)
def test_a_warning_of_the_compiler_is_a_failure(tmp_path: Path, says: str, verb: str, code: int) -> None:
    """With a program in `az`'s place that says this where it is asked to build, lint or read parameters."""
    program = tmp_path / "az"
    where = "" if verb == "lint" else " >&2"
    program.write_text(f"#!/bin/sh\necho '{{}}'\nif [ \"$2\" = {verb} ]; then echo '{says}'{where}; fi\n")
    program.chmod(0o700)

    done = subprocess.run(
        ["./tools/bicep_built.sh", "infra/vault", "infra/main"], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=60, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "./tools/bicep_built.sh infra/vault infra/main" in target("bicep")


def test_whoever_only_builds_needs_none_of_the_variables_of_a_deployment() -> None:
    script = (ROOT / "tools" / "bicep_built.sh").read_text()
    parameters = "".join(path.read_text() for path in (ROOT / "infra").glob("*.bicepparam"))
    [exported] = re.findall(r"^export (.*)$", script, re.MULTILINE)

    needed = set(re.findall(r"readEnvironmentVariable\('(\w+)'\)", parameters))
    assert needed == set(re.findall(r'"\$\{(\w+):=', script)) == set(exported.split())
