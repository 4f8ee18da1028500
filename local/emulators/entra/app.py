"""The emulator put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from socket import socket

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from local.emulators.entra.config import Door
from local.emulators.entra.controls import Controls
from local.emulators.entra.exchanging import TokenEndpoint
from local.emulators.entra.graph import Graph
from local.emulators.entra.graph_access import Doorkeeper
from local.emulators.entra.provider import Provider
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.tokens import Mint
from local.emulators.replies import refuse_control
from local.emulators.serving import Tls, served

# Browsers ask these from the site's own origin; here that is always this machine.
_FROM_LOOPBACK = Middleware(
    CORSMiddleware,
    allow_origin_regex=r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?",
    allow_methods=["GET", "POST"],
    allow_headers=["*"],
)


@dataclass(frozen=True, slots=True)
class SecondDoor:
    """The same directory by TLS, for clients that accept nothing else."""

    door: Door
    listener: socket
    tls: Tls


def build(tenant: Tenant, door: Door, second: SecondDoor | None = None) -> Starlette:
    """The application behind `door`, which also serves the second one for as long as it runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            running.callback(tenant.database.close)
            if second is not None:
                behind = Starlette(routes=_routes(tenant, second.door), exception_handlers=_REFUSALS)
                await running.enter_async_context(served(behind, tls=second.tls, listener=second.listener))
            yield

    return Starlette(routes=_routes(tenant, door), lifespan=lifespan, exception_handlers=_REFUSALS)


_REFUSALS = {HTTPException: refuse_control}


def _routes(tenant: Tenant, door: Door) -> list[Route | Mount]:
    registered = tenant.registered
    mint = Mint(tenant.keys, door, audience=registered.audience, client_id=registered.client_id)
    provider = Provider(tenant, door)
    tokens = TokenEndpoint(tenant, door, mint)
    cors = [_FROM_LOOPBACK]
    protocol = Mount(
        f"/{door.tenant}",
        routes=[
            Route(
                "/v2.0/.well-known/openid-configuration",
                provider.discovery,
                methods=["GET", "OPTIONS"],
                middleware=cors,
            ),
            Route("/discovery/v2.0/keys", provider.jwks, methods=["GET", "OPTIONS"], middleware=cors),
            Route("/oauth2/v2.0/token", tokens.exchange, methods=["POST", "OPTIONS"], middleware=cors),
            Route("/oauth2/v2.0/authorize", provider.authorize),
            Route("/oauth2/v2.0/logout", provider.sign_out),
            Route("/login", provider.sign_in, methods=["POST"]),
        ],
    )
    controls = Mount("/_emulator", routes=Controls(mint, tenant.keys, tenant.users).routes())
    # Microsoft Graph answers by TLS only, and takes what this door issued.
    graph = Graph(tenant.database, tenant.users, Doorkeeper(tenant.keys, door.issuer), door.url)
    return [Route("/", provider.index), *(graph.routes() if door.secure else []), controls, protocol]
