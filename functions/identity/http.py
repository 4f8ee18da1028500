"""Identity over HTTP: own accounts, everybody's for admins, who works for an organiser, and the keys of services."""

from dataclasses import dataclass

from functions.identity.belonging import Belonging
from functions.identity.erasing import Erasing
from functions.identity.exporting import Exporting
from functions.identity.invitations_http import invitation_endpoints
from functions.identity.inviting import Inviting
from functions.identity.keyring import Keyring
from functions.identity.me_http import my_endpoints
from functions.identity.members_http import member_endpoints
from functions.identity.profiles import Profiles
from functions.identity.service_keys_http import service_key_endpoints
from functions.identity.users import Users
from functions.identity.users_http import user_endpoints
from shared.web.endpoint import Admits, Endpoints


@dataclass(frozen=True, slots=True)
class Accounts:
    """What is done with people's accounts."""

    profiles: Profiles
    exporting: Exporting
    erasing: Erasing
    users: Users


def endpoints(
    accounts: Accounts, belonging: Belonging, inviting: Inviting, keyring: Keyring, gate: Admits
) -> Endpoints:
    """The endpoints of identity."""
    http = Endpoints("identity", gate)
    my_endpoints(http, accounts.profiles, accounts.exporting, accounts.erasing)
    user_endpoints(http, accounts.users)
    member_endpoints(http, belonging, accounts.profiles)
    invitation_endpoints(http, inviting)
    service_key_endpoints(http, keyring)
    return http
