"""`python -m local.emulators.cosmos`: a Cosmos DB account of one's own on loopback."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from local.emulators.cosmos.app import build
from local.emulators.cosmos.identities import AUDIENCE, Identities
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import Tls, address_of, bind_loopback, serve
from shared.topology import TOPOLOGY_FILE
from shared.topology import topology as read


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    key: Annotated[
        str | None, typer.Option(envvar="COSMOS_KEY", help="The account's key, base64; none: no keys.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8081,
    topology: Annotated[Path, typer.Option(help="Containers to make at the start.")] = TOPOLOGY_FILE,
    authority: Annotated[str | None, typer.Option(help="Whose Entra tokens count, by OIDC discovery.")] = None,
    principal: Annotated[
        list[str] | None, typer.Option(help="An oid that has the data-plane role; repeatable.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM chain; with --tls-key: https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
) -> None:
    """Emulate Cosmos DB for NoSQL, as far as the store's adapter needs it.

    State is in DATA/cosmos.sqlite. Faults and usage are below /_emulator/.
    """
    tls = Tls(tls_certificate, tls_key) if tls_certificate is not None and tls_key is not None else None
    try:
        listener = bind_loopback(port)
        address = address_of(listener, "http" if tls is None else "https")
        app = build(data / "cosmos.sqlite", _gate(key, authority, address, principal or []), topology=read(topology))
    except (OSError, ValueError) as error:
        print(f"cosmos emulator cannot start: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    serve(app, listener, announcement=f"cosmos emulator listening on {address}", tls=tls)


def _gate(key: str | None, authority: str | None, address: str, principals: Sequence[str]) -> Gate:
    if key is None and authority is None:
        raise ValueError("say who may come in: COSMOS_KEY or --authority")
    identities = (
        None if authority is None else Identities(authority, audiences=[AUDIENCE, address], principals=principals)
    )
    return Gate(None if key is None else MasterKey(key), identities)


if __name__ == "__main__":
    typer.run(main)
