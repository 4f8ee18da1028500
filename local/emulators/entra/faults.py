"""Failures of the token endpoint on demand."""

import os
import signal
from typing import Literal

from local.emulators.rules import Rule


class Fault(Rule):
    """What happens once tokens were made and before they are told: the answer is lost, or the process ends."""

    kind: Literal["lost", "die"]


def die() -> None:
    """End this process as `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)
