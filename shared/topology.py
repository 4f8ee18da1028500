"""Containers, queues, subscriptions and their settings, read from `infra/topology.json`.

One truth: Bicep reads the file with `loadJsonContent`; the embedded store and bus, the local host and the tests read it
here.
"""

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

TOPOLOGY_FILE = Path(__file__).resolve().parent.parent / "infra" / "topology.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Container(_Part):
    """A container and the top-level property that is its partition key.

    :param ordered_by: properties by which pages within a partition are sorted (Cosmos: composite indexes with the id)
    :param looked_up_by: properties few documents have, by which these are found across partitions
    :param found_by: properties many documents have, each value in few of them: these are found across partitions by it
    :param filtered_by: properties by which the documents of a large partition are chosen; an embedded store looks
        through them instead
    """

    name: str
    partition_key: str
    ordered_by: tuple[str, ...] = ()
    looked_up_by: tuple[str, ...] = ()
    found_by: tuple[str, ...] = ()
    filtered_by: tuple[str, ...] = ()

    @property
    def indexed_paths(self) -> tuple[str, ...]:
        """The properties Cosmos indexes; every other one would make each write dearer and serve no query.

        The partition key is among them: a query of one partition is else a look through all that lie beside it
        (https://learn.microsoft.com/azure/cosmos-db/index-policy#include-and-exclude-strategy). The id always is.
        """
        found = {self.partition_key, *self.ordered_by, *self.looked_up_by, *self.found_by, *self.filtered_by}
        return tuple(sorted(found - {"id"}))


class Queue(_Part):
    """A queue: deliveries before dead-lettering, lock duration, duplicate-detection window."""

    name: str
    max_delivery_count: int
    lock_seconds: int
    duplicate_detection_minutes: int


class Topic(_Part):
    """The topic every event is published to."""

    name: str
    duplicate_detection_minutes: int


class Subscription(_Part):
    """Which event types are forwarded from the topic to which queue."""

    name: str
    types: tuple[str, ...]
    forward_to: str


class Topology(_Part):
    """The whole file."""

    database: str
    containers: tuple[Container, ...]
    topic: Topic
    queues: tuple[Queue, ...]
    subscriptions: tuple[Subscription, ...]

    def partition_key(self, container: str) -> str:
        """The partition-key property of `container`.

        :raises KeyError: no such container
        """
        return self._partition_keys()[container]

    def queue(self, name: str) -> Queue:
        """The queue called `name`.

        :raises KeyError: no such queue
        """
        return {queue.name: queue for queue in self.queues}[name]

    def _partition_keys(self) -> dict[str, str]:
        return {container.name: container.partition_key for container in self.containers}


@cache
def topology(path: Path = TOPOLOGY_FILE) -> Topology:
    """The topology, read once.

    :raises pydantic.ValidationError: the file has unknown or missing parts
    """
    return Topology.model_validate_json(path.read_bytes())
