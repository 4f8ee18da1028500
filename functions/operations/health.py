"""Health: alive means the process answers; ready means what it stands on answers too."""

from collections.abc import Awaitable, Callable, Mapping

from shared.telemetry import Log

type Check = Callable[[], Awaitable[bool]]

_log = Log("health")


class Health:
    """Asks what we stand on.

    :param checks: name → whether it answers
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    async def ready(self) -> dict[str, bool]:
        """Name → whether it answers just now; a check that fails in any way is a no, and logged."""
        return {name: await self._answers(name, check) for name, check in self._checks.items()}

    async def _answers(self, name: str, check: Check) -> bool:
        try:
            return await check()
        except Exception as error:  # whatever is wrong, the answer is “not ready”
            _log.error("not_ready", error=error, check=name)
            return False
