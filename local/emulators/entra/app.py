"""The emulator put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from socket import socket

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import Lifespan

from local.emulators.entra.accounts import Accounts
from local.emulators.entra.browser import Browsers, FormRefused
from local.emulators.entra.config import Door
from local.emulators.entra.controls import Controls
from local.emulators.entra.exchanging import TokenEndpoint
from local.emulators.entra.graph import Graph
from local.emulators.entra.graph_access import Doorkeeper
from local.emulators.entra.pages import Faces
from local.emulators.entra.profile import Profile
from local.emulators.entra.provider import Provider
from local.emulators.entra.signing_in import SigningIn
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
            await running.enter_async_context(_sending(tenant))
            if second is not None:
                behind = _application(tenant, second.door)
                await running.enter_async_context(served(behind, tls=second.tls, listener=second.listener))
            yield

    return _application(tenant, door, lifespan)


@asynccontextmanager
async def _sending(tenant: Tenant) -> AsyncIterator[None]:
    """Mails are sent as long as the block lasts; what is unsent then is sent after the next start."""
    sending = asyncio.create_task(tenant.post.run())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


def _application(tenant: Tenant, door: Door, lifespan: Lifespan[Starlette] | None = None) -> Starlette:
    registered = tenant.registered
    mint = Mint(tenant.keys, door, tenant.clock, audience=registered.audience, client_id=registered.client_id)
    provider = Provider(tenant, door)
    faces = Faces(door, Browsers(door, tenant.secret))
    of_tenant = [*_protocol(provider, TokenEndpoint(tenant, door, mint)), *_pages(tenant, door, faces)]
    # Microsoft Graph answers by TLS only, and takes what this door issued.
    graph = Graph(
        tenant.database, tenant.users, Doorkeeper(tenant.keys, tenant.clock, door.issuer), tenant.clock, door.url
    )
    return Starlette(
        routes=[
            Route("/", provider.index),
            *(graph.routes() if door.secure else []),
            Mount("/_emulator", routes=Controls(tenant, mint).routes()),
            Mount(f"/{door.tenant}", routes=of_tenant),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: refuse_control, FormRefused: faces.form_is_old},
    )


def _protocol(provider: Provider, tokens: TokenEndpoint) -> list[Route]:
    """What clients talk to."""
    found, cors = "/v2.0/.well-known/openid-configuration", [_FROM_LOOPBACK]
    return [
        Route(found, provider.discovery, methods=["GET", "OPTIONS"], middleware=cors),
        Route("/discovery/v2.0/keys", provider.jwks, methods=["GET", "OPTIONS"], middleware=cors),
        Route("/oauth2/v2.0/token", tokens.exchange, methods=["POST", "OPTIONS"], middleware=cors),
    ]


def _pages(tenant: Tenant, door: Door, faces: Faces) -> list[Route]:
    """What people see."""
    signing_in, accounts = SigningIn(tenant, door, faces), Accounts(tenant, door, faces)
    profile = Profile(tenant, door, faces, signing_in)
    both = ["GET", "POST"]
    return [
        Route("/oauth2/v2.0/authorize", signing_in.authorize, methods=both),
        Route("/oauth2/v2.0/logout", signing_in.sign_out),
        Route("/logout", signing_in.confirmed, methods=["POST"]),
        Route("/login", signing_in.form, methods=["GET"]),
        Route("/login", signing_in.sign_in, methods=["POST"]),
        Route("/sign-up", accounts.sign_up, methods=both),
        Route("/sign-up/finish", accounts.finish_sign_up, methods=both),
        Route("/reset", accounts.reset, methods=both),
        Route("/reset/finish", accounts.finish_reset, methods=both),
        Route("/profile", profile.show, methods=["GET"]),
        Route("/profile", profile.rename, methods=["POST"]),
        Route("/profile/password", profile.change_password, methods=["POST"]),
    ]
