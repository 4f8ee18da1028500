"""azure-pipelines.yml with its templates put in, and what is wrong with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.infra import commands
from tests.infra.expressions import ExpressionRefused, used
from tests.infra.yamls import as_texts, read, refusals

type Json = dict[str, Any]

PARAMETER: Final = re.compile(r"\$\{\{\s*parameters\.(\w+)\s*\}\}")
ANY_TEMPLATE_EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}")
SECRET_LIKE: Final = re.compile(r"secret|password|token|api_?key|connection_?string", re.IGNORECASE)
GIVEN: Final = {"AZURE_LOCATION": "westeurope"}  # by the variable group, docs/deploy.md
LISTS: Final = ("stages", "jobs", "steps")


class PipelineRefused(Exception):
    """A template that is not there, or a parameter that does not fit."""


@dataclass(frozen=True)
class Files:
    """The files of a pipeline, by their paths; a test may change one."""

    texts: Mapping[str, str]

    @classmethod
    def below(cls, root: Path) -> "Files":
        """Those of the repository."""
        paths = [root / "azure-pipelines.yml", *sorted((root / "pipelines").glob("*.yml"))]
        return cls({path.relative_to(root).as_posix(): path.read_text() for path in paths})

    def expanded(self, path: str = "azure-pipelines.yml") -> Json:
        """A pipeline with everything put in.

        :raises PipelineRefused: a template or a parameter is wrong
        """
        whole = _parsed(self.texts[path])
        given = {each["name"]: each["default"] for each in whole.get("parameters", [])}
        found: Json = self._put_in({**_filled(whole, given, path), "parameters": whole.get("parameters", [])}, path)
        return found

    def _put_in(self, part: Any, path: str) -> Any:
        if isinstance(part, dict):
            return {
                name: self._list(value, name, path) if name in LISTS and isinstance(value, list) else
                self._put_in(value, path) for name, value in part.items()
            }  # fmt: skip
        return [self._put_in(each, path) for each in part] if isinstance(part, list) else part

    def _list(self, items: Sequence[Any], kind: str, path: str) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if isinstance(item, dict) and "template" in item:
                found += self._template(item, kind, path)
            else:
                found.append(self._put_in(item, path))
        return found

    def _template(self, item: Json, kind: str, path: str) -> list[Any]:
        name = (Path(path).parent / item["template"]).as_posix()
        if name not in self.texts:
            raise PipelineRefused(f"{path}: there is no template {item['template']}")
        template = _parsed(self.texts[name])
        given = self._parameters(item, template, name)
        if kind not in template:
            raise PipelineRefused(f"{path}: {name} has no {kind}")
        whole = _filled(template, given, name)
        found: list[Any] = self._list(whole[kind], kind, name)
        return found

    def _parameters(self, item: Json, template: Json, name: str) -> Mapping[str, Any]:
        declared = {each["name"]: each for each in template.get("parameters", [])}
        given = item.get("parameters") or {}
        for key, value in given.items():
            if key not in declared:
                raise PipelineRefused(f"{name} has no parameter {key}")
            if value not in declared[key].get("values", [value]):
                raise PipelineRefused(f"{name} takes no {value} for {key}")
        missing = [key for key, each in declared.items() if key not in given and "default" not in each]
        if missing:
            raise PipelineRefused(f"{name} needs {', '.join(missing)}")
        return {**{key: each.get("default", "") for key, each in declared.items()}, **given}


@cache
def _parsed(text: str) -> Json:
    """Most files of a pipeline that is broken in one place are as they were; nobody changes what this answers."""
    found: Json = read(text)
    return found


def _filled(part: Any, given: Mapping[str, Any], name: str) -> Any:
    if isinstance(part, dict):
        return {key: _filled(value, given, name) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(each, given, name) for each in part]
    if not isinstance(part, str):
        return part
    for asked in PARAMETER.findall(part):
        if asked not in given:
            raise PipelineRefused(f"{name} uses a parameter {asked} that it does not declare")
    if whole := PARAMETER.fullmatch(part):
        return given[whole[1]]
    filled = PARAMETER.sub(lambda match: str(given[match[1]]), part)
    if ANY_TEMPLATE_EXPRESSION.search(filled):
        raise PipelineRefused(f"{name} has an expression that this check does not know: {part}")
    return filled


def problems(files: Files, *, form: bool = True) -> list[str]:
    """What is wrong with a pipeline, a sentence each.

    :param form: whether it is compared with the published schema, too
    """
    try:
        whole = files.expanded()
    except PipelineRefused as refused:
        return [str(refused)]
    stages = whole["stages"]
    found = refusals("azure-pipelines", as_texts(whole)) if form else []
    found += _graph(stages, "stage")
    for stage in stages:
        found += _graph(stage["jobs"], "job")
        found += _conditions(stage, [*(each["stage"] for each in stages)])
        for job in stage["jobs"]:
            found += _job(job, stage)
    return found


def jobs(files: Files) -> list[Json]:
    """Every job of a pipeline."""
    return [job for stage in files.expanded()["stages"] for job in stage["jobs"]]


def steps(job: Json) -> list[Json]:
    """The steps of a job or a deployment, those that follow a failure too."""
    strategy = job.get("strategy", {}).get("runOnce", {})
    hooks = [strategy.get("deploy", {}), *(strategy.get("on") or {}).values()]
    found: list[Json] = [*job.get("steps", []), *(step for hook in hooks for step in hook.get("steps", []))]
    return found


def script_of(step: Json) -> str:
    """What a step runs in a shell, or nothing."""
    inputs = step.get("inputs") or {}
    return str(step.get("script") or step.get("bash") or inputs.get("inlineScript") or "")


def _graph(parts: Sequence[Json], kind: str) -> Iterator[str]:
    """Names, and what each waits for."""
    names = [_name(part, kind) for part in parts]
    yield from (f"{kind} {name} is there twice" for name in {*names} if names.count(name) > 1)
    waits = {
        name: _listed(part.get("dependsOn", [] if kind == "job" or not before else [before]))
        for part, name, before in zip(parts, names, [None, *names], strict=False)
    }
    for name, others in waits.items():
        yield from (f"{kind} {name} waits for {other}, which is not there" for other in others if other not in names)
    done: set[str] = set()
    while ready := [name for name in waits if name not in done and done.issuperset(waits[name]) and name in names]:
        done.update(ready)
    if stuck := [name for name in names if name not in done and all(other in names for other in waits[name])]:
        yield f"{kind}s wait for each other: {', '.join(stuck)}"


def _job(job: Json, stage: Json) -> Iterator[str]:
    name = _name(job, "job")
    yield from _conditions(job, [_name(each, "job") for each in stage["jobs"]])
    if "timeoutInMinutes" not in job:
        yield f"job {name} has no time after which it is ended"
    for step in steps(job):
        yield from _conditions(step, [])
        yield from commands.refusals(script_of(step), GIVEN)
        for key, value in (step.get("env") or {}).items():
            if SECRET_LIKE.search(key) and not str(value).startswith("$("):
                yield f"job {name} has the secret {key} written out"
    for variable in [*_variables(job), *_variables(stage)]:
        if "name" in variable and SECRET_LIKE.search(variable["name"]):
            yield f"job {name} has the secret {variable['name']} among its variables: secrets are in the vault"


def _conditions(part: Json, names: Sequence[str]) -> Iterator[str]:
    condition = part.get("condition")
    if condition is None:
        return
    try:
        uses = used(str(condition))
    except ExpressionRefused as refused:
        yield f"condition {condition}: {refused}"
        return
    for use in uses:
        if use.name in {"succeeded", "failed", "succeededOrFailed"}:
            yield from (f"condition {condition}: there is no {text}" for text in use.texts if text not in names)


def _variables(part: Json) -> list[Json]:
    found = part.get("variables", [])
    return [{"name": name} for name in found] if isinstance(found, dict) else list(found)


def _name(part: Json, kind: str) -> str:
    return str(part.get(kind) or part.get("deployment") or "?")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
