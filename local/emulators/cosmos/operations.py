"""The kinds of request, as faults and usage name them."""

from typing import Literal

Operation = Literal[
    "account", "definition", "ranges", "read", "create", "upsert", "replace", "patch", "delete", "batch", "query",
    "plan", "feed",
]  # fmt: skip
