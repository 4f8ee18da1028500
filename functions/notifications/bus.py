"""Notifications' queues."""

from collections.abc import Sequence
from datetime import datetime

import azure.functions as func

from functions.notifications.inviting import InvitationMails
from functions.notifications.telling import Telling, Told
from functions.notifications.welcoming import WelcomeMails
from shared.bus.port import Bus
from shared.events.envelope import Event
from shared.events.identity import MemberInvited, PersonInvited
from shared.events.sales import OrderEvent
from shared.kernel.ids import PersonId
from shared.telemetry import correlation
from shared.web.triggers import queue_consumer

QUEUE = "notifications"
INVITATIONS = "invitations"


class NoticeMessage(OrderEvent):
    """Any event of an order that its buyer hears of; `type` says which.

    :param by: who cancelled the order, where somebody did
    """

    type: str
    by: str = ""


class InvitationMessage(Event):
    """Any event of identity that somebody hears of by mail; `type` says which.

    :param nonce: of an invitation's mail
    :param number: of a welcome's
    """

    type: str
    invitation_id: str = ""
    nonce: str = ""
    person_id: PersonId = PersonId("")
    number: int = 0


def consumers(
    telling: Telling, invitations: InvitationMails, welcomes: WelcomeMails, bus: Bus
) -> Sequence[func.Blueprint]:
    """The queue triggers of notifications."""

    async def mail_notice(event: NoticeMessage, now: datetime) -> None:
        told = Told(event.type, event.order_id, event.organiser_id, event.by, correlation.get())
        await telling.tell(told, now=now)

    async def mail_invitation(event: InvitationMessage, now: datetime) -> None:
        said = event.model_dump()
        if event.type == PersonInvited.type_name():
            await welcomes.mail(PersonInvited.model_validate(said), correlation_id=correlation.get(), now=now)
        else:
            await invitations.mail(MemberInvited.model_validate(said), correlation_id=correlation.get(), now=now)

    return [
        queue_consumer(mail_notice, queue=QUEUE, message=NoticeMessage, bus=bus),
        queue_consumer(mail_invitation, queue=INVITATIONS, message=InvitationMessage, bus=bus),
    ]
