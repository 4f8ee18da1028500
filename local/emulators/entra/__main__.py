"""`python -m local.emulators.entra`: an identity provider of one's own on loopback."""

from pathlib import Path
from typing import Annotated

import typer

from local.emulators.entra.app import SecondDoor, build
from local.emulators.entra.applications import Application, read_applications
from local.emulators.entra.config import Door
from local.emulators.entra.tenant import Registered, Tenant
from local.emulators.entra.tls import own_certificate
from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import CannotStart, read_option, starting

_TENANT = "7e55e2a0-0000-4000-8000-000000000001"


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    redirect_uri: Annotated[
        list[str], typer.Option(help="An address people may be sent back to, compared exactly; may be repeated.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 4300,
    tenant: Annotated[str, typer.Option(help="The directory's id, in addresses and tokens.")] = _TENANT,
    audience: Annotated[str, typer.Option(help="The API access tokens are for.")] = "api://tessera",
    client_id: Annotated[str, typer.Option(help="The public client of these addresses.")] = "tessera-web",
    applications: Annotated[
        Path | None, typer.Option(help="JSON with more applications, services among them (applications.py says how).")
    ] = None,
    tls_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="A second port, by TLS; clients trust DATA/ca.pem.")
    ] = None,
    smtp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Sends mails of sign-up and reset; none: there is neither.")
    ] = None,
    password: Annotated[
        str | None, typer.Option(envvar="TESSERA_DEMO_PASSWORD", help="Everybody's. Default: one each, made at first.")
    ] = None,
) -> None:
    """Emulate Entra External ID: OIDC discovery, JWKS, authorization code with PKCE, and the pages people see.

    State is in DATA/entra.sqlite; DATA/people.json (mode 0600) lists the people of the start and their passwords.
    Controls for tests are below /_emulator/: tokens, rotate-keys, clock, faults.
    """
    with starting("entra"):
        client = Application(id=client_id, redirect_uris=frozenset(redirect_uri))
        registered = Registered(tenant, audience, client_id, (client, *_others(applications, client_id)), _smtp(smtp))
        listener = bind_loopback(port)
        door = Door(address_of(listener), tenant)
        directory = Tenant(data, registered, password)
        second = None if tls_port is None else _second_door(data, tls_port, tenant)
        app = build(directory, door, second)
    addresses = [door.url] if second is None else [door.url, second.door.url]
    serve(app, listener, announcement=f"entra emulator listening on {' '.join(addresses)} authority {door.issuer}")


def _others(file: Path | None, client_id: str) -> list[Application]:
    found = [] if file is None else read_option("--applications", file, read_applications)
    names = [application.id for application in found]
    twice = sorted({name for name in names if [*names, client_id].count(name) > 1})
    if twice:
        raise CannotStart(f"--applications: {', '.join(twice)} is registered twice")
    return found


def _smtp(option: str | None) -> str | None:
    host, _, port = (option or "").rpartition(":")
    if option is not None and not (host and port.isdecimal()):
        raise CannotStart(f"--smtp {option}: say HOST:PORT")
    return option


def _second_door(data: Path, port: int, tenant: str) -> SecondDoor:
    listener = bind_loopback(port)
    tls = own_certificate(data)
    return SecondDoor(Door(address_of(listener, "https"), tenant), listener, tls)


if __name__ == "__main__":
    typer.run(main)
