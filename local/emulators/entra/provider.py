"""What the provider tells of itself: its metadata, its keys, a page about it."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.authorizing import PROMPTS
from local.emulators.entra.config import Door
from local.emulators.entra.people import PEOPLE
from local.emulators.entra.tenant import Tenant
from local.emulators.replies import Pages, json_reply


class Provider:
    """The tenant as it looks through one door."""

    def __init__(self, tenant: Tenant, door: Door) -> None:
        self._tenant = tenant
        self._door = door
        self._pages = Pages(Path(__file__).parent / "templates")

    async def index(self, _: Request) -> Response:
        """What this is and where clients find it."""
        return self._pages.show("index.html", door=self._door, registered=self._tenant.registered, people=PEOPLE)

    async def discovery(self, _: Request) -> Response:
        """The metadata document (OpenID Connect Discovery 1.0)."""
        root = self._door.root
        return json_reply(
            {
                "issuer": self._door.issuer,
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": self._door.token_endpoint,
                "end_session_endpoint": f"{root}/oauth2/v2.0/logout",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "request_parameter_supported": False,
                "request_uri_parameter_supported": False,
                "prompt_values_supported": sorted(PROMPTS),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "fragment", "form_post"],
                "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["PS256", "RS256"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "oid", "tid", "name", "email", "ver"],
            }
        )

    async def jwks(self, _: Request) -> Response:
        """The published keys."""
        return json_reply(self._tenant.keys.jwks())
