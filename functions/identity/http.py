"""Identity over HTTP: who am I, who works for an organiser, and the keys of services."""

from pydantic import BaseModel

from functions.identity.belonging import Belonging
from functions.identity.invitations_http import invitation_endpoints
from functions.identity.inviting import Inviting
from functions.identity.keyring import Keyring
from functions.identity.members_http import member_endpoints
from functions.identity.service_keys_http import service_key_endpoints
from shared.auth.permissions import Membership, Permission, Role
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Admits, Call, Endpoints, Nothing


class Me(BaseModel):
    """You, as this API knows you."""

    person_id: PersonId
    name: str
    email: str
    roles: list[Role]
    memberships: dict[OrganiserId, Membership]


def endpoints(belonging: Belonging, inviting: Inviting, keyring: Keyring, gate: Admits) -> Endpoints:
    """The endpoints of identity."""
    http = Endpoints("identity", gate)
    member_endpoints(http, belonging)
    invitation_endpoints(http, inviting)
    service_key_endpoints(http, keyring)

    @http("GET", "me", needs=Permission.OWN_ACCOUNT, returns=Me)
    async def show_me(call: Call, nothing: Nothing) -> Me:
        """Show who you are here, and which organisers you belong to."""
        caller = call.caller
        return Me(
            person_id=caller.person_id,
            name=caller.name,
            email=caller.email,
            roles=sorted(caller.roles),
            memberships=dict(caller.memberships),
        )

    return http
