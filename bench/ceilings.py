"""Ceilings: what the host does with an empty function, and what the load client itself can do."""

import asyncio
import socket
import sys
import tempfile
from pathlib import Path
from typing import cast

from bench.load import SECONDS, Api, drive
from local.host.process import HostProcess

APPS = Path(__file__).parent / "apps"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def host_empty_rps(seconds: float = SECONDS) -> float:
    """Requests a second to a function that does nothing, one worker process."""
    with tempfile.TemporaryDirectory() as folder, HostProcess.start(app=APPS / "empty", data=Path(folder)) as host:
        return await _gets(host.url, "/api/empty", seconds)


async def client_ceiling_rps(seconds: float = SECONDS) -> float:
    """Requests a second from a server in a process of its own that answers without looking."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "bench.ceilings", str(port)]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert server.stdout is not None
        await server.stdout.readline()
        return await _gets(f"http://127.0.0.1:{port}", "/", seconds)
    finally:
        server.terminate()
        await server.communicate()


async def _gets(url: str, path: str, seconds: float) -> float:
    api = Api(url, [""])

    async def get(_client: int, _round: int) -> bool:
        return (await api.get(path))[0] == 200

    try:
        return (await drive(get, seconds=seconds)).rate
    finally:
        await api.close()


class _Answering(asyncio.Protocol):
    """Answers every read with the same bytes: the client sends one request at a time on a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's does not say so

    def data_received(self, data: bytes) -> None:
        self.transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1])))
