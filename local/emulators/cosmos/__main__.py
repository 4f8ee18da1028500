"""`python -m local.emulators.cosmos`: a Cosmos DB account of one's own on loopback."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import address_of, bind_loopback, serve
from shared.topology import TOPOLOGY_FILE
from shared.topology import topology as read_topology


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    key: Annotated[str, typer.Option(envvar="COSMOS_KEY", help="The account's key, base64.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8081,
    topology: Annotated[Path, typer.Option(help="Containers to make at the start.")] = TOPOLOGY_FILE,
) -> None:
    """Emulate Cosmos DB for NoSQL, as far as the store's adapter needs it.

    State is in DATA/cosmos.sqlite.
    """
    try:
        gate = Gate(MasterKey(key))
        listener = bind_loopback(port)
        address = address_of(listener)
        app = build(data / "cosmos.sqlite", gate, topology=read_topology(topology))
    except (OSError, ValueError) as error:
        print(f"cosmos emulator cannot start: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    serve(app, listener, announcement=f"cosmos emulator listening on {address}")


if __name__ == "__main__":
    typer.run(main)
