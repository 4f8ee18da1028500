"""What was asked and what it cost, by container and operation."""

from collections import defaultdict
from typing import Any


class Usage:
    """Counts requests and request units; ends with the process."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._units: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, container: str, operation: str, charge: float) -> None:
        """Count one answer."""
        self._requests[container, operation] += 1
        self._units[container, operation] += charge

    def totals(self) -> dict[str, Any]:
        """`{container: {operation: {requests, units}}}`."""
        found: dict[str, Any] = {}
        for (container, operation), requests in sorted(self._requests.items()):
            units = round(self._units[container, operation], 2)
            found.setdefault(container, {})[operation] = {"requests": requests, "units": units}
        return found

    def clear(self) -> None:
        """Begin again."""
        self._requests.clear()
        self._units.clear()
