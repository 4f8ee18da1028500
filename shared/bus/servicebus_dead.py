"""Dead letters on Service Bus: peeked at through the management node, taken under locks.

Only receiving from the front can lock a dead letter, so those before a wanted one are locked in passing and given back:
the SDK offers `abandon` for that, which counts as a delivery. Deferring them instead would hide them from every other
tool. Imports the SDK, so it is imported where the SDK is first used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageAlreadySettled, MessageLockLostError

from shared.bus.port import DEAD_COUNTED_MAX, BusBusy, DeadLetter, DeadLetterPage, Message
from shared.bus.servicebus_client import Client
from shared.bus.servicebus_messages import letter_of, message_of, number_of

PEEKED_MAX: Final = 100  # letters one peek asks for
PEEKS_MAX: Final = 20  # peeks one call makes
TAKING_SECONDS_MAX: Final = 30.0
TAKEN_BYTES_MAX: Final = 1024 * 1024  # of letters asked for at a time, by the largest there is; one at least
_ROUNDS_MAX: Final = 3  # letters somebody else holds for a moment are looked for again
_ROUND_PAUSE_SECONDS: Final = 0.5
_ARRIVAL_SECONDS_MAX: Final = 2.0  # letters that were seen come within this, unless they are locked


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters a page is to have."""

    limit: int
    after: int
    reason: str | None
    type_name: str | None

    def holds(self, letter: DeadLetter) -> bool:
        """Whether a letter is one of them."""
        return self.reason in {None, letter.reason} and self.type_name in {None, letter.message.type}


async def counts(client: Client, queues: Iterable[str]) -> Mapping[str, int]:
    """How many dead letters each queue has, up to `DEAD_COUNTED_MAX`.

    :raises BusUnavailable: no answer
    """
    names = tuple(queues)
    found = await asyncio.gather(*(count(client, name) for name in names))
    return dict(zip(names, found, strict=True))


async def count(client: Client, queue: str) -> int:
    """How many dead letters a queue has, up to `DEAD_COUNTED_MAX`.

    :raises BusUnavailable: no answer
    """
    number, after = 0, 0
    while number < DEAD_COUNTED_MAX:
        async with client.dead(queue).use() as receiver:
            peeked = await _peek(receiver, after)
        if not peeked:
            break
        number += len(peeked)
        after = number_of(peeked[-1])
    return min(number, DEAD_COUNTED_MAX)


async def page(client: Client, queue: str, wanted: Wanted) -> DeadLetterPage:
    """Letters in order of their numbers; fewer than `limit` where `PEEKS_MAX` peeks found no more.

    :raises BusUnavailable: no answer
    """
    found: list[DeadLetter] = []
    after = wanted.after
    async with client.dead(queue).use() as receiver:
        for _ in range(PEEKS_MAX):
            peeked = await _peek(receiver, after)
            if not peeked:
                return DeadLetterPage(found, None)
            for each in peeked:
                letter = letter_of(each, queue)
                if wanted.holds(letter):
                    if len(found) == wanted.limit:
                        return DeadLetterPage(found, found[-1].sequence_number)
                    found.append(letter)
            after = number_of(peeked[-1])
    return DeadLetterPage(found, after)


@dataclass(slots=True)
class _Seen:
    """What peeking told.

    :param in_front: letters up to the last of those that are wanted, itself included
    :param largest: bytes of the largest body among them
    """

    present: set[int] = field(default_factory=set)
    in_front: int = 0
    largest: int = 1

    @property
    def at_a_time(self) -> int:
        """How many letters to ask for at once."""
        return max(1, min(PEEKED_MAX, TAKEN_BYTES_MAX // self.largest))


async def _nothing(_: Mapping[int, Message]) -> None:
    """Letters that are discarded need nothing before."""


class Taking:
    """Removes letters from a queue's dead-letter subqueue.

    :param before: what has to be done, durably, before the letters with these numbers are removed
    :param check: called for each letter before anything is done; what it raises stops the call
    """

    def __init__(
        self,
        client: Client,
        queue: str,
        *,
        before: Callable[[Mapping[int, Message]], Awaitable[None]] = _nothing,
        check: Callable[[int, Message], None] = lambda _number, _letter: None,
    ) -> None:
        self._client = client
        self._queue = queue
        self._before = before
        self._check = check

    async def take(self, numbers: Iterable[int]) -> Sequence[int]:
        """Remove the letters with these numbers; those that were there.

        :raises BusUnavailable: no answer
        :raises BusBusy: somebody else holds some; ask again
        """
        asked = list(dict.fromkeys(numbers))
        missing, done = set(asked), set[int]()
        for round_ in range(_ROUNDS_MAX):
            if not missing:
                break
            if round_:
                await asyncio.sleep(_ROUND_PAUSE_SECONDS)
            link = self._client.dead(self._queue)
            async with link.use(TAKING_SECONDS_MAX) as receiver:
                seen = await self._look(receiver, missing)
                taken = await self._take(receiver, seen)
            done |= taken
            missing = seen.present - taken
            if missing:
                await link.close()  # what still comes for the credit it has is given back
        if missing:
            raise BusBusy(f"Somebody else holds dead letters {sorted(missing)} of {self._queue!r}.")
        return [number for number in asked if number in done]

    async def _look(self, receiver: ServiceBusReceiver, wanted: set[int]) -> _Seen:
        """Which of the wanted letters there are, and how many lie before the last of them, itself included."""
        found, after, seen = _Seen(), 0, 0
        for _ in range(PEEKS_MAX):
            peeked = await _peek(receiver, after) if after < max(wanted) else []
            if not peeked:
                return found
            for each in peeked:
                seen += 1
                number, letter = number_of(each), message_of(each)
                found.largest = max(found.largest, len(letter.body))
                if number in wanted:
                    self._check(number, letter)
                    found.present.add(number)
                    found.in_front = seen
            after = number_of(peeked[-1])
        if after < max(wanted):
            raise BusBusy(f"More than {seen} dead letters lie before {max(wanted)}: deal with those first.")
        return found

    async def _take(self, receiver: ServiceBusReceiver, seen: _Seen) -> set[int]:
        """Lock letters from the front, remove the wanted ones, and give the others back whatever happens.

        Fewer than asked for is no end: of large letters few come at a time. `TAKING_SECONDS_MAX` bounds it all.
        """
        held: dict[int, ServiceBusReceivedMessage] = {}
        done: set[int] = set()
        in_front = seen.in_front
        try:
            while in_front > 0 and done != seen.present:
                locked = await receiver.receive_messages(
                    min(in_front, seen.at_a_time), max_wait_time=_ARRIVAL_SECONDS_MAX
                )
                if not locked:
                    break
                in_front -= len(locked)
                held |= {number_of(each): each for each in locked}
                wanted = {number: letter for number, letter in held.items() if number in seen.present}
                if wanted:
                    await self._before({number: message_of(letter) for number, letter in wanted.items()})
                for number, letter in wanted.items():
                    await self._remove(receiver, letter)
                    del held[number]
                    done.add(number)
        finally:
            await self._give_back(receiver, held.values())
        return done

    async def _remove(self, receiver: ServiceBusReceiver, letter: ServiceBusReceivedMessage) -> None:
        try:
            await receiver.complete_message(letter)
        except (MessageLockLostError, MessageAlreadySettled) as error:
            raise BusBusy("A dead letter's lock lapsed; it stays until it is asked for again.") from error

    async def _give_back(self, receiver: ServiceBusReceiver, letters: Iterable[ServiceBusReceivedMessage]) -> None:
        for each in letters:
            with suppress(MessageLockLostError, MessageAlreadySettled):  # then it is back already
                await receiver.abandon_message(each)


async def _peek(receiver: ServiceBusReceiver, after: int) -> Sequence[ServiceBusReceivedMessage]:
    return await receiver.peek_messages(PEEKED_MAX, sequence_number=after + 1)
