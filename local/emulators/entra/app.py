"""The emulator put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from local.emulators.database import Database
from local.emulators.entra import directory, grants, keys
from local.emulators.entra.controls import Controls
from local.emulators.entra.provider import Config, Provider
from local.emulators.entra.tokens import Mint
from local.emulators.replies import refuse_control

# Browsers ask these from the site's own origin; here that is always this machine.
_FROM_LOOPBACK = Middleware(
    CORSMiddleware,
    allow_origin_regex=r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?",
    allow_methods=["GET", "POST"],
    allow_headers=["*"],
)


def build(*, data: Path, config: Config, password: str | None) -> Starlette:
    """The application over the state in `data`.

    :raises DirectoryTaken: another emulator works there
    """
    database = Database(data / "entra.sqlite", keys.SCHEMA + directory.SCHEMA + grants.SCHEMA)
    people = directory.Directory(database, data / "people.json", password)
    ring = keys.KeyRing(database)
    mint = Mint(ring, issuer=config.issuer, tenant=config.tenant, audience=config.audience, client_id=config.client_id)
    provider = Provider(config, people, grants.Grants(database), ring, mint)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        database.close()

    cors = [_FROM_LOOPBACK]
    tenant = Mount(
        f"/{config.tenant}",
        routes=[
            Route(
                "/v2.0/.well-known/openid-configuration",
                provider.discovery,
                methods=["GET", "OPTIONS"],
                middleware=cors,
            ),
            Route("/discovery/v2.0/keys", provider.jwks, methods=["GET", "OPTIONS"], middleware=cors),
            Route("/oauth2/v2.0/token", provider.token, methods=["POST", "OPTIONS"], middleware=cors),
            Route("/oauth2/v2.0/authorize", provider.authorize),
            Route("/oauth2/v2.0/logout", provider.sign_out),
            Route("/login", provider.sign_in, methods=["POST"]),
        ],
    )
    controls = Mount("/_emulator", routes=Controls(mint, ring, people.users).routes())
    routes = [Route("/", provider.index), controls, tenant]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: refuse_control})
