"""What the gateway costs a request: the CPU of the host with it and without it, by turns.

The policies are the product's, the request is one of the signed-in API (token, counters, headers), the function does
nothing. `python -m bench.gateway` measures it alone.
"""

import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import aiohttp

from bench.ceilings import APPS
from bench.load import CLIENTS, Api, cpu_seconds, drive
from local.host.process import HostProcess
from local.layout import Ports
from local.stack import ROOT, Stack

PAIRS: Final = 5
UNLIMITED: Final = {
    f"GATEWAY_{name}_CALLS": "10000000" for name in ("PERSON", "SERVICE", "ADDRESS", "REFUSED", "WEBHOOK", "PRIVATE")
}
"""Settings under which the gateway's counters count, and nobody reaches a limit."""


async def gateway_overhead_us(seconds: float = 5.0) -> float:
    """Microseconds of CPU that the gateway adds to a request; the median of five pairs.

    :param seconds: of load in all, for each of the two
    """
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tessera-gateway-")))
        stack = opened.enter_context(_issuer(folder / "stack"))
        app = _app(folder / "app")
        hosts = [
            opened.enter_context(
                HostProcess.start(
                    app=app, data=folder / f"host{number}", environment={**stack.environment(), **UNLIMITED},
                    arguments=arguments,
                )
            )
            for number, arguments in enumerate([[], ["--no-gateway"]])
        ]  # fmt: skip
        tokens = await _tokens(stack)
        for host in hosts:
            await _cpu_us(host, tokens, 0.5)
        differences = []
        for _ in range(PAIRS):
            through, past = [await _cpu_us(host, tokens, seconds / PAIRS) for host in hosts]
            differences.append(through - past)
        return statistics.median(differences)


@contextmanager
def _issuer(folder: Path) -> Iterator[Stack]:
    """A stack of which only the sign-in double runs."""
    folder.mkdir()
    stack = Stack(folder, Ports.free(), pages=None)
    try:
        stack.start_emulator("entra")
        yield stack
    finally:
        stack.stop()


def _app(folder: Path) -> Path:
    """The app with the empty function, behind the product's policies."""
    shutil.copytree(APPS / "empty", folder)
    policies = folder / "infra" / "policies"
    shutil.copytree(ROOT / "infra" / "policies", policies)
    written = policies / "operations.json"
    configuration = json.loads(written.read_text())
    others: dict[str, list[str]] = {policy: [] for policy in configuration["operations"]}
    written.write_text(json.dumps({**configuration, "operations": {**others, "signed-in.xml": ["empty"]}}))
    return folder


async def _tokens(stack: Stack) -> list[str]:
    wanted = {"count": CLIENTS, "roles": ["user"], "prefix": "bench"}
    async with aiohttp.ClientSession() as http, http.post(f"{stack.entra_url}/_emulator/tokens", json=wanted) as answer:
        answer.raise_for_status()
        found: list[str] = [token["access_token"] for token in (await answer.json())["tokens"]]
    return found


async def _cpu_us(host: HostProcess, tokens: list[str], seconds: float) -> float:
    """Microseconds of CPU for each request, while `CLIENTS` ask for so many seconds."""
    api = Api(host.url, tokens)

    async def get(client: int, _round: int) -> bool:
        return (await api.get("/api/empty", client))[0] == 200

    try:
        before = cpu_seconds([host.process.pid])
        run = await drive(get, seconds=seconds)
        used = cpu_seconds([host.process.pid]) - before
    finally:
        await api.close()
    assert run.failures == 0, "requests were refused"
    return used / len(run.latencies) * 1e6


if __name__ == "__main__":
    import uvloop

    print(f"gateway_overhead_us {uvloop.run(gateway_overhead_us()):.1f}")
