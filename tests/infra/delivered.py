"""What each of the two pipelines does, in the same words: every job, after which, when, as whom, and step by step."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.infra import azure_pipelines, commands
from tests.infra.azure_pipelines import Files, script_of
from tests.infra.github_workflows import EXPRESSION, Workflows
from tests.infra.yamls import read

type Json = dict[str, Any]

DELIVER: Final = "./.github/workflows/deliver.yml"
# What conditions mean; any other stays as it is written, and is then none of the table.
MEANINGS: Final = {
    "": "",
    "succeeded()": "",
    "and(succeeded(), eq(variables['Build.SourceBranch'], 'refs/heads/main'))": "main",
    "github.ref == 'refs/heads/main'": "main",
    "and(always(), in(dependencies.package.result, 'Failed', 'Canceled'))": "package failed or was ended",
    "always() && (needs.package.result == 'failure' || needs.package.result == 'cancelled')":
        "package failed or was ended",
    "succeededOrFailed()": "even if failed",
    "success() || failure()": "even if failed",
    "always()": "always",
}  # fmt: skip
LONG: Final = ("vault", "infrastructure", "publish", "smoke", "rollback")  # may outlive the proof of who asks
_DELIVERY: Final = " ".join(commands.DELIVERY)
_FILLED: Final = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*\}\}")


@dataclass(frozen=True)
class Job:
    """A job of a pipeline.

    :param after: the jobs it waits for
    :param when: beside their success; of its stage or caller and its own
    :param minutes: after which it is ended
    :param steps: `as <identity>: delivery …`, `make …`, `keep`, `fetch` and `tell` of files; `?`: it may fail
    :param lock: one at a time has it
    """

    after: tuple[str, ...]
    when: str
    minutes: int
    steps: tuple[str, ...]
    lock: str = ""


def on_azure(files: Files) -> dict[str, Job]:
    """The jobs of azure-pipelines.yml."""
    stages = files.expanded()["stages"]
    named = {stage["stage"]: [_azure_name(stage, job) for job in stage["jobs"]] for stage in stages}
    return {
        _azure_name(stage, job): Job(
            after=_azure_after(stage, job, named),
            when=_whole(stage.get("condition"), job.get("condition")),
            minutes=job["timeoutInMinutes"],
            steps=tuple(line for step in azure_pipelines.steps(job) for line in _azure_step(step)),
            lock=job.get("environment", "") if stage.get("lockBehavior") == "sequential" else "",
        )
        for stage in stages
        for job in stage["jobs"]
    }


def _azure_name(stage: Json, job: Json) -> str:
    name = str(job.get("job") or job["deployment"])
    where = {"PlanDev": "dev ", "PlanProd": "prod ", "Dev": "dev ", "Prod": "prod "}.get(stage["stage"], "")
    return where + name.replace("_", "-")


def _azure_after(stage: Json, job: Json, named: Mapping[str, list[str]]) -> tuple[str, ...]:
    if others := _listed(job.get("dependsOn")):
        return tuple(sorted(_azure_name(stage, {"job": other}) for other in others))
    return tuple(sorted(name for other in _listed(stage["dependsOn"]) for name in named[other]))


def _azure_step(step: Json) -> Iterator[str]:
    inputs = step.get("inputs") or {}
    told = _manner(step.get("condition"), tolerated=step.get("continueOnError") in (True, "true"))
    if step.get("checkout") == "self" and str(step.get("fetchDepth")) == "0":
        yield "every commit"
    elif "publish" in step:
        yield f"{told}keep {step['artifact']} from {step['publish']}"
    elif "download" in step:
        yield f"{told}fetch {step['artifact']}" if step["download"] == "current" else f"fetch from {step['download']}"
    elif "PublishTestResults" in step.get("task", ""):
        yield f"{told}tell {inputs['testResultsFiles']}"
    script = script_of(step)
    lines = script.splitlines()
    if len(lines) > 1 and lines[0] != "set -euo pipefail":
        yield "goes on after a command that failed"
    stays = inputs.get("keepAzSessionActive") is True
    identity = inputs["azureSubscription"] if stays and "azureSubscription" in inputs else ""
    for line in commands.commands(script.replace("$(Pipeline.Workspace)/package/", "dist/")):
        yield told + _command(line, identity)


def on_github(files: Workflows) -> dict[str, Job]:
    """The jobs of deliver.yml, with those of the workflows it calls."""
    found: dict[str, Job] = {}
    inside: dict[str, list[str]] = {}
    for name, job in files.workflows[DELIVER]["jobs"].items():
        after = tuple(sorted(each for other in _listed(job.get("needs")) for each in inside[other]))
        parts = _called(job, files) if "uses" in job else {name: _github_job(job, files)}
        inside[name] = [*parts]
        for part, one in parts.items():
            found[part] = replace(one, after=one.after or after, when=_whole(job.get("if"), one.when))
    return found


def _called(job: Json, files: Workflows) -> dict[str, Job]:
    given = job.get("with") or {}
    text = _FILLED.sub(lambda match: str(given.get(match[1], "?")), files.texts[job["uses"]])
    lock = (job.get("concurrency") or {}).get("group", "")
    where = given.get("environment", "?")
    return {
        f"{where} {name}": replace(
            found := _github_job(inner, files),
            after=tuple(f"{where} {other}" for other in found.after),
            lock="" if (job.get("concurrency") or {}).get("cancel-in-progress") else lock,
        )
        for name, inner in read(text)["jobs"].items()
    }


def _github_job(job: Json, files: Workflows) -> Job:
    may_sign_in = (job.get("permissions") or {}).get("id-token") == "write"
    as_whom, steps = "", []
    for step in job["steps"]:
        if step.get("uses") == "./.github/actions/sign-in":
            as_whom = job.get("environment", "") if may_sign_in else ""
            continue
        for line in _github_step(step, as_whom, files):
            steps.append(line)
            if any(f"delivery {name} " in line for name in LONG):
                as_whom = ""  # the proof of who it is has lapsed meanwhile
    tolerated = "tolerated " if job.get("continue-on-error") else ""
    return Job(
        tuple(sorted(_listed(job.get("needs")))), tolerated + _meaning(job.get("if")), job["timeout-minutes"], (*steps,)
    )


def _github_step(step: Json, as_whom: str, files: Workflows) -> Iterator[str]:
    told = _manner(step.get("if"), tolerated=step.get("continue-on-error") is True)
    given, uses = step.get("with") or {}, step.get("uses", "")
    if "upload-artifact" in uses:
        path = given["path"]
        yield f"{told}tell {path}" if path.endswith(".xml") else f"{told}keep {given['name']} from {path}"
    elif "download-artifact" in uses:
        yield f"{told}fetch {given['name']}" + ("" if given["path"] == "dist" else f" to {given['path']}")
    elif "actions/checkout" in uses and given.get("fetch-depth") == 0:
        yield "every commit"
    elif uses.startswith("./"):
        for inner in read(files.texts[f"{uses}/action.yml"])["runs"]["steps"]:
            yield from (told + _command(line, "") for line in commands.commands(inner.get("run", "")))
    for line in commands.commands(EXPRESSION.sub("?", step.get("run", ""))):
        yield told + _command(line, as_whom)


def _command(line: str, as_whom: str) -> str:
    return f"as {as_whom or 'nobody'}: delivery{line.removeprefix(_DELIVERY)}" if line.startswith(_DELIVERY) else line


def _manner(condition: str | None, *, tolerated: bool) -> str:
    meaning = _meaning(condition)
    return ("? " if tolerated else "") + (f"{meaning}: " if meaning else "")


def _whole(*conditions: str | None) -> str:
    return " and ".join(meaning for each in conditions if (meaning := _meaning(each)))


def _meaning(condition: str | None) -> str:
    return MEANINGS.get(condition or "", condition or "")


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
