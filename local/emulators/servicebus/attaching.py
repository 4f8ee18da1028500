"""Attaching links: which node they lead to, and whether the client may use it."""

import asyncio
import logging
from datetime import datetime

from local.emulators.servicebus.addresses import CBS, Address, path_of
from local.emulators.servicebus.links import MESSAGE_BYTES_MAX, Inbound, Outbound, QueueLink, ReplyLink, Sink
from local.emulators.servicebus.performatives import AmqpError, Attach, Detach, address_of, terminus
from local.emulators.servicebus.publishing import EntityNode
from local.emulators.servicebus.requests import Answer, CbsNode, ManagementNode
from local.emulators.servicebus.session import Session
from local.emulators.servicebus.tokens import granted
from local.emulators.servicebus.values import Described
from shared.kernel.clock import utc_now

log = logging.getLogger("local.emulators.servicebus")

SESSION_FILTER = "com.microsoft:session-filter"
_FILTER = 7  # place in a source
LINKS_MAX = 256  # of a session

type Grants = dict[str, datetime]


async def attach_link(session: Session, asked: Attach, grants: Grants) -> None:
    """Attach a link, or answer with an end that has no address and a detach that says why.

    :raises AmqpError: its handle is in use
    """
    if asked.handle in session.inbound or asked.handle in session.outbound:
        raise AmqpError("amqp:session:handle-in-use", f"The handle {asked.handle} is in use.")
    answer = Attach(
        name=asked.name,
        handle=asked.handle,
        role=not asked.role,
        snd_settle_mode=asked.snd_settle_mode,
        rcv_settle_mode=asked.rcv_settle_mode,
        properties=asked.properties,
    )
    try:
        link = _link(session, asked, grants)
    except AmqpError as error:
        await session.send(answer)
        await session.send(Detach(handle=asked.handle, closed=True, error=error.described()))
        return
    answer.source = asked.source or terminus(0x28, asked.name)
    answer.target = asked.target or terminus(0x29, asked.name)
    if isinstance(link, Inbound):
        answer.max_message_size = MESSAGE_BYTES_MAX
        session.inbound[asked.handle] = link
        await session.send(answer)
        await link.grant()
    else:
        answer.initial_delivery_count = 0
        session.outbound[asked.handle] = (link, asyncio.create_task(_run(link, session)))
        await session.send(answer)


async def _run(link: Outbound, session: Session) -> None:
    try:
        await link.run()
    except (ConnectionError, TimeoutError):
        session.drop()  # the client is gone, or takes nothing
    except Exception:
        log.exception("A link failed")
        session.drop()


def _link(session: Session, asked: Attach, grants: Grants) -> Inbound | Outbound:
    if len(session.inbound) + len(session.outbound) >= LINKS_MAX:
        raise AmqpError("amqp:resource-limit-exceeded", f"A session has at most {LINKS_MAX} links.")
    return _outbound(session, asked, grants) if asked.role else _inbound(session, asked, grants)


def _inbound(session: Session, asked: Attach, grants: Grants) -> Inbound:
    wanted = address_of(asked.target) or ""
    return Inbound(session, asked, _sink(session, wanted, grants))


def _sink(session: Session, wanted: str, grants: Grants) -> Sink:
    if path_of(wanted) == CBS:
        return CbsNode(session.broker, grants, _answer(session, CBS)).take
    address = _allowed(session, wanted, grants)
    if address.management:
        return ManagementNode(session.broker, address, _answer(session, address.path)).take
    if address.dead or address.forwards:
        raise AmqpError("amqp:not-allowed", f"Nothing can be sent to {address.path}.")
    return EntityNode(session.broker, address, session.drop).take


def _outbound(session: Session, asked: Attach, grants: Grants) -> Outbound:
    wanted = address_of(asked.source) or ""
    if path_of(wanted) == CBS:
        return ReplyLink(session, asked, CBS)
    address = _allowed(session, wanted, grants)
    if address.management:
        return ReplyLink(session, asked, address.path)
    if address.topic:
        raise AmqpError("amqp:not-allowed", "A topic is received from by its subscriptions.")
    if address.forwards:
        raise AmqpError("amqp:not-allowed", f"{address.path} forwards its messages; receive from {address.entity}.")
    _refuse_sessions(asked.source)
    return QueueLink(session, asked, queue=address.entity, dead=address.dead)


def _refuse_sessions(source: Described | None) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/message-sessions#session-features: asked for by a filter.

    :raises AmqpError: the link asks for a session, one by its id or the next
    """
    fields = source.value if source is not None and isinstance(source.value, list) else []
    filters = fields[_FILTER] if len(fields) > _FILTER else None
    if isinstance(filters, dict) and SESSION_FILTER in filters:
        raise AmqpError("amqp:not-implemented", "Sessions are not emulated: a receiver takes from the whole queue.")


def _allowed(session: Session, wanted: str, grants: Grants) -> Address:
    """The entity at an address, for a client that has shown a token for it.

    :raises AmqpError: there is none, or no token
    """
    if not granted(grants, path_of(wanted), utc_now()):
        raise AmqpError("amqp:unauthorized-access", f"No valid token was put for {path_of(wanted)!r}.")
    address = session.broker.resolve(wanted)
    if address is None:
        raise AmqpError("amqp:not-found", f"The messaging entity {path_of(wanted)!r} could not be found.")
    return address


def _answer(session: Session, path: str) -> Answer:
    async def answer(data: bytes) -> None:
        for link, _ in reversed(list(session.outbound.values())):
            if isinstance(link, ReplyLink) and link.path == path:
                link.answer(data)
                return
        raise AmqpError("amqp:precondition-failed", "A request needs a link for its reply.")

    return answer
