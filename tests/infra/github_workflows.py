"""The GitHub workflows, and what is wrong with them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.infra import commands
from tests.infra.azure_pipelines import GIVEN
from tests.infra.yamls import read, refusals

type Json = dict[str, Any]

EXPRESSION: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
CONTEXTS: Final = frozenset({"github", "vars", "needs", "inputs", "matrix", "steps", "env", "runner"})
FUNCTIONS: Final = {"toJSON": 1, "fromJSON": 1, "always": 0, "failure": 0, "success": 0, "cancelled": 0}
PINNED: Final = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_WORD: Final = re.compile(r"'[^']*'|(?P<call>[A-Za-z]\w*)\((?P<inner>[^()]*)\)|(?P<path>[A-Za-z][\w-]*)(?:\.[\w-]+)*")


@dataclass(frozen=True)
class Workflows:
    """Workflows and actions of ours, by their paths; a test may change one."""

    texts: Mapping[str, str]

    @classmethod
    def below(cls, root: Path) -> "Workflows":
        """Those of the repository."""
        paths = [*(root / ".github").rglob("*.yml")]
        return cls({f"./{path.relative_to(root).as_posix()}": path.read_text() for path in sorted(paths)})

    @property
    def workflows(self) -> dict[str, Json]:
        """Path → what it says."""
        return {path: read(text) for path, text in self.texts.items() if "/workflows/" in path}


def problems(files: Workflows, *, form: bool = True) -> list[str]:
    """What is wrong, a sentence each.

    :param form: whether they are compared with the published schema, too
    """
    found: list[str] = []
    for path, workflow in files.workflows.items():
        found += refusals("github-workflows", workflow) if form else []
        found += _expressions(path, files.texts[path])
        if "secrets." in files.texts[path]:
            found.append(f"{path} has a secret: Azure is reached by OpenID Connect, and secrets are in the vault")
        if "permissions" not in workflow and not all("permissions" in job for job in workflow["jobs"].values()):
            found.append(f"{path} does not say what it may do")
        for name, job in workflow["jobs"].items():
            found += _job(name, job, workflow, files)
    return found


def _job(name: str, job: Json, workflow: Json, files: Workflows) -> Iterator[str]:
    needs = job.get("needs", [])
    for other in [needs] if isinstance(needs, str) else needs:
        if other not in workflow["jobs"]:
            yield f"job {name} needs {other}, which is not there"
    for context, asked in re.findall(r"(needs|steps)\.([\w-]+)", str(job.get("if", ""))):
        if context == "steps" or asked not in ([needs] if isinstance(needs, str) else needs):
            yield f"job {name} asks for {asked} of {context}, for which it does not wait"
    if "uses" in job:
        yield from _called(name, job, files)
        return
    if "timeout-minutes" not in job:
        yield f"job {name} has no time after which it is ended"
    identified = {step["id"] for step in job["steps"] if "id" in step}
    for step in job["steps"]:
        yield from _step(name, step, files)
        for asked in re.findall(r"steps\.([\w-]+)", str(step.get("if", ""))):
            if asked not in identified:
                yield f"job {name} asks for a step {asked}, which is not there"


def _called(name: str, job: Json, files: Workflows) -> Iterator[str]:
    called = files.workflows.get(job["uses"])
    if called is None:
        yield f"job {name} calls {job['uses']}, which is not there"
        return
    inputs = called["on"]["workflow_call"]["inputs"]
    given = job.get("with") or {}
    yield from (f"{job['uses']} has no input {each}" for each in given if each not in inputs)
    yield from (
        f"{job['uses']} needs {each}" for each, one in inputs.items() if one.get("required") and each not in given
    )


def _step(name: str, step: Json, files: Workflows) -> Iterator[str]:
    uses = step.get("uses", "")
    if uses.startswith("./"):
        if f"{uses}/action.yml" not in files.texts:
            yield f"job {name} uses {uses}, which is not there"
    elif uses and not PINNED.fullmatch(uses):
        yield f"job {name} uses {uses}, which is not pinned to a commit"
    known = EXPRESSION.sub("dev", step.get("run", ""))  # whichever environment it is
    yield from commands.refusals(known, GIVEN)


def _expressions(path: str, text: str) -> Iterator[str]:
    written = [*EXPRESSION.findall(text), *re.findall(r"^\s*(?:- )?if: (.*)$", text, re.MULTILINE)]
    for expression in written:
        for match in _WORD.finditer(expression):
            call, name = match["call"], match["path"]
            if call is not None:
                number = len([part for part in match["inner"].split(",") if part.strip()])
                if FUNCTIONS.get(call) != number:
                    yield f"{path}: {call}({match['inner']}) in {expression.strip()!r} is no function we know"
            elif name is not None and name not in CONTEXTS:
                yield f"{path}: {name} in {expression.strip()!r} is no context we know"
