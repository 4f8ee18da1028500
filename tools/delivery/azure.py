"""The `az` command line, which is signed in already: by a person, or by a pipeline's federated identity.

It is a program of its own, since its library is larger than everything else here together, and pipelines have it.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

COMMAND_SECONDS: Final = 180.0
DEPLOYMENT_SECONDS: Final = (
    5_400.0  # a first deployment makes a gateway of the Developer tier, which takes up to an hour
)
PUBLISHING_SECONDS: Final = (
    2_400.0  # to one app: 900 looks of `az` (pushing.py) with their answers, and what is around them
)
_TOLD_CHARACTERS: Final = 2_000


class AzureFailed(Exception):
    """A command of `az` failed, was not there or took too long; the message has its own words, never an argument."""


@dataclass(frozen=True, slots=True)
class Azure:
    """Asks `az`.

    :param program: found on the PATH
    :param environment: what it is told beside this process's own environment: parameter files read it
    """

    program: str = "az"
    environment: Mapping[str, str] = field(default_factory=dict)

    def ask(self, *words: str, seconds: float = COMMAND_SECONDS) -> Any:
        """What a command answers, read as JSON; None where it says nothing.

        :raises AzureFailed: it failed, is not there or took too long
        """
        told = self._run([*words, *_subscription(), "--output", "json", "--only-show-errors"], seconds)
        try:
            return json.loads(told) if told.strip() else None
        except ValueError as error:
            raise AzureFailed(f"{_named(words)} answered no JSON: {told[:200]}") from error

    def text(self, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        """What a command prints for people.

        :raises AzureFailed: it failed, is not there or took too long
        """
        return self._run([*words, *_subscription(), "--only-show-errors"], seconds)

    def token(self, scope: str) -> str:
        """An access token of whoever is signed in.

        :param scope: what it is for, e.g. `https://api.applicationinsights.io/.default`
        :raises AzureFailed: there is none
        """
        found: str = self.ask("account", "get-access-token", "--scope", scope, "--query", "accessToken")
        return found

    def _run(self, words: Sequence[str], seconds: float) -> str:
        try:
            running = subprocess.Popen(
                [self.program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise AzureFailed(f"there is no `{self.program}` on the PATH (docs/deploy.md says how to get it)") from None
        with running:
            try:
                said, trouble = running.communicate(timeout=seconds)
            except BaseException as ended:  # az is a script that starts another: both have to end, whatever ends us
                os.killpg(running.pid, signal.SIGKILL)
                if isinstance(ended, subprocess.TimeoutExpired):
                    raise AzureFailed(f"{_named(words)} took longer than {seconds:.0f} s") from None
                raise
        if running.returncode != 0:
            raise AzureFailed(f"{_named(words)}: {trouble.strip()[-_TOLD_CHARACTERS:]}")
        return said


def _subscription() -> tuple[str, ...]:
    """Which one, where the environment says so, as azd does to its hooks; `az` itself would take its default."""
    named = os.environ.get("AZURE_SUBSCRIPTION_ID", "")
    return ("--subscription", named) if named else ()


def _named(words: Sequence[str]) -> str:
    """A command without its options, whose values may be nobody else's business."""
    verbs = [word for index, word in enumerate(words) if not any(each.startswith("-") for each in words[: index + 1])]
    return " ".join(["az", *verbs])
