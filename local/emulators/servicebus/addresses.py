"""Where a link leads: `payments`, `events/Subscriptions/stock`, each with `/$DeadLetterQueue` or `/$management`.

The SDK writes whole addresses (`amqps://host/payments`) for links and short ones for management; case does not matter.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response#service-bus-entity-addresses
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shared.topology import Topology

CBS = "$cbs"
_DEAD = "/$deadletterqueue"
_MANAGEMENT = "/$management"
_SUBSCRIPTIONS = "/subscriptions/"


@dataclass(frozen=True, slots=True)
class Address:
    """An entity of the topology, and which part of it.

    :param path: as tokens name it: lower case, without host
    :param entity: the queue or topic
    :param forwards: a subscription that keeps nothing, because it forwards everything
    """

    path: str
    entity: str
    topic: bool = False
    forwards: bool = False
    dead: bool = False
    management: bool = False


def path_of(address: str) -> str:
    """The path in an address or a token's audience, in lower case, without slashes around it."""
    path = urlsplit(address).path if "://" in address else address
    return unquote(path).strip("/").lower()


def resolve(address: str, topology: Topology) -> Address | None:
    """What an address names; None where the topology has no such entity."""
    path = path_of(address)
    rest = path
    management = rest.endswith(_MANAGEMENT)
    rest = rest.removesuffix(_MANAGEMENT)
    dead = rest.endswith(_DEAD)
    rest = rest.removesuffix(_DEAD)
    topic = topology.topic.name
    for queue in topology.queues:
        if rest == queue.name.lower():
            return Address(path, queue.name, dead=dead, management=management)
    if rest == topic.lower() and not dead:
        return Address(path, topic, topic=True, management=management)
    for subscription in topology.subscriptions:
        if rest == f"{topic}{_SUBSCRIPTIONS}{subscription.name}".lower():
            return Address(path, subscription.forward_to, forwards=True, dead=dead, management=management)
    return None
