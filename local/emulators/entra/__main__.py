"""`python -m local.emulators.entra`: an identity provider of one's own on loopback."""

from pathlib import Path
from typing import Annotated

import typer

from local.emulators.entra.app import build
from local.emulators.entra.provider import Config
from local.emulators.serving import address_of, bind_loopback, serve
from local.emulators.starting import starting

_TENANT = "7e55e2a0-0000-4000-8000-000000000001"


def main(
    data: Annotated[Path, typer.Option(help="Directory for the durable state; made if missing.")],
    redirect_uri: Annotated[
        list[str], typer.Option(help="An address people may be sent back to, compared exactly; may be repeated.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 4300,
    tenant: Annotated[str, typer.Option(help="The directory's id, in addresses and tokens.")] = _TENANT,
    audience: Annotated[str, typer.Option(help="The API access tokens are for.")] = "api://tessera",
    client_id: Annotated[str, typer.Option(help="The one (public) client.")] = "tessera-web",
    password: Annotated[
        str | None,
        typer.Option(
            envvar="TESSERA_DEMO_PASSWORD",
            help="Everybody's password. Default: one each, made at first start.",
        ),
    ] = None,
) -> None:
    """Emulate Entra External ID: OIDC discovery, JWKS, authorization code with PKCE and a sign-in page.

    State is in DATA/entra.sqlite; DATA/people.json (mode 0600) lists the people and their passwords. Tokens for tests
    come from POST /_emulator/tokens, a new signing key from POST /_emulator/rotate-keys.
    """
    with starting("entra"):
        listener = bind_loopback(port)
        address = address_of(listener)
        config = Config(address, tenant, audience, client_id, frozenset(redirect_uri))
        app = build(data=data, config=config, password=password)
    serve(app, listener, announcement=f"entra emulator listening on {address} authority {config.issuer}")


if __name__ == "__main__":
    typer.run(main)
