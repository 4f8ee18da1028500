"""What the code at work belongs to: the ids that tie log lines, measurements and spans to one request."""

from contextvars import ContextVar
from typing import Final

correlation: Final[ContextVar[str]] = ContextVar("correlation", default="")
use_case: Final[ContextVar[str]] = ContextVar("use_case", default="none")
