"""What the code at work belongs to: the ids that tie log lines, measurements and spans to one request."""

import os
import platform
from contextvars import ContextVar
from typing import Final

correlation: Final[ContextVar[str]] = ContextVar("correlation", default="")
use_case: Final[ContextVar[str]] = ContextVar("use_case", default="none")
INSTANCE: Final = (
    f"{platform.node()}:{os.getpid()}"  # this process among all of an app's, which share pids over machines
)
