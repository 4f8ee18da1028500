"""Identity's change feed: what a team decided reaches the standing of its members, whoever died in between."""

import azure.functions as func

from functions.identity.belonging import Belonging
from functions.identity.team_repository import MEMBER_KIND, TEAMS
from functions.identity.teams import Member
from shared.web.triggers import change_feed, parsed


def feed(belonging: Belonging) -> func.Blueprint:
    """The change-feed trigger of teams."""

    async def copy_memberships(documents: func.DocumentList) -> None:
        for member in parsed(documents, kind=MEMBER_KIND, model=Member):
            await belonging.copy(member.organiser_id, member.person_id)

    return change_feed(copy_memberships, container=TEAMS, lease="memberships")
