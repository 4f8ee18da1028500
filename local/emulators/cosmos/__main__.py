"""`python -m local.emulators.cosmos`: a Cosmos DB account of one's own on loopback."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from local.emulators.cosmos.app import build
from local.emulators.cosmos.identities import AUDIENCE, Identities
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import Tls, address_of, bind_loopback, serve
from local.emulators.starting import CannotStart, only_with, read_option, starting
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
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM chain: https; with --tls-key.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key; with --tls-certificate.")] = None,
) -> None:
    """Emulate Cosmos DB for NoSQL, as far as the store's adapter needs it.

    State is in DATA/cosmos.sqlite. Faults and usage are below /_emulator/.
    """
    with starting("cosmos"):
        only_with("--principal", principal, "--authority", authority)
        only_with("--tls-key", tls_key, "--tls-certificate", tls_certificate)
        only_with("--tls-certificate", tls_certificate, "--tls-key", tls_key)
        tls = _tls(tls_certificate, tls_key)
        listener = bind_loopback(port)
        address = address_of(listener, "http" if tls is None else "https")
        made = read_option("--topology", topology, read)
        app = build(data / "cosmos.sqlite", _gate(key, authority, address, principal or []), topology=made)
    serve(app, listener, announcement=f"cosmos emulator listening on {address}", tls=tls)


def _gate(key: str | None, authority: str | None, address: str, principals: Sequence[str]) -> Gate:
    if key is None and authority is None:
        raise CannotStart("say who may come in: COSMOS_KEY, --key or --authority")
    identities = (
        None if authority is None else Identities(authority, audiences=[AUDIENCE, address], principals=principals)
    )
    try:
        return Gate(None if key is None else MasterKey(key), identities)
    except ValueError as error:
        raise CannotStart(f"COSMOS_KEY, or --key, is not base64: {error}") from error


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    if certificate is None or key is None:
        return None
    trial = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    read_option("--tls-certificate", certificate, lambda chain: trial.load_cert_chain(chain, key))
    return Tls(certificate, key)


if __name__ == "__main__":
    typer.run(main)
