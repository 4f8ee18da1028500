"""Notifications' queues."""

from collections.abc import Sequence
from datetime import datetime

import azure.functions as func

from functions.notifications.inviting import InvitationMails
from functions.notifications.telling import Telling, Told
from shared.bus.port import Bus
from shared.events.identity import MemberInvited
from shared.events.sales import OrderEvent
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


def consumers(telling: Telling, invitations: InvitationMails, bus: Bus) -> Sequence[func.Blueprint]:
    """The queue triggers of notifications."""

    async def mail_notice(event: NoticeMessage, now: datetime) -> None:
        told = Told(event.type, event.order_id, event.organiser_id, event.by, correlation.get())
        await telling.tell(told, now=now)

    async def mail_invitation(event: MemberInvited, now: datetime) -> None:
        await invitations.mail(event, correlation_id=correlation.get(), now=now)

    return [
        queue_consumer(mail_notice, queue=QUEUE, message=NoticeMessage, bus=bus),
        queue_consumer(mail_invitation, queue=INVITATIONS, message=MemberInvited, bus=bus),
    ]
