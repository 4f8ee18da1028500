"""`/_emulator/`: what tests ask of the emulator and no Cosmos DB would do."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.cosmos.faults import Fault, Faults
from local.emulators.cosmos.usage import Usage
from local.emulators.replies import json_reply, read_control


class Controls:
    """The control endpoints; all answer JSON, and none asks for a key: they are reached from this machine only."""

    def __init__(self, faults: Faults, usage: Usage) -> None:
        self._faults = faults
        self._usage = usage

    def routes(self) -> list[Route]:
        """The routes below `/_emulator`."""
        return [
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/usage", self.usage, methods=["GET", "DELETE"]),
        ]

    async def faults(self, request: Request) -> Response:
        """Add a rule, or clear them all; answers how many requests were hit so far."""
        if request.method == "POST":
            self._faults.add(await read_control(request, Fault))
        elif request.method == "DELETE":
            self._faults.clear()
        return json_reply({"hits": self._faults.hits})

    async def usage(self, request: Request) -> Response:
        """Requests and request units by container and operation since the start, or since they were last cleared."""
        found = self._usage.totals()
        if request.method == "DELETE":
            self._usage.clear()
        return json_reply(found)
