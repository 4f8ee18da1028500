"""What the emulator says to clients that err, and how it keeps to credit, windows and frames."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus._pyamqp import performatives as frames
from azure.servicebus._pyamqp.error import AMQPError
from azure.servicebus._pyamqp.message import Message, Properties

from shared.bus.port import Message as OurMessage
from tests.contract.servicebus import bus_at
from tests.emulators.servicebus import HOST, Namespace, namespace, signature
from tests.support.amqp import (
    AMQP_HEADER,
    DETACH,
    DISPOSITION,
    END,
    FLOW,
    SASL,
    SASL_HEADER,
    TRANSFER,
    RawClient,
    answer_in,
    begin,
    encode,
    made,
)

QUEUE = "payments"


@pytest.fixture
async def space(tmp_path: Path) -> AsyncIterator[Namespace]:
    async with namespace(tmp_path) as found:
        yield found


async def still_serves(space: Namespace) -> None:
    client = await space.raw()
    assert (await client.attach(QUEUE, 1))[5] is not None
    await client.close()


def frame(body: bytes, *, channel: int = 1, type_: int = 0, offset: int = 2) -> bytes:
    return struct.pack(">IBBH", 8 + len(body), offset, type_, channel) + body


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (struct.pack(">IBBH", 7, 2, 0, 0), "amqp:decode-error"),  # shorter than its own header
        (struct.pack(">IBBH", 2**31, 2, 0, 0), "amqp:decode-error"),  # two gigabytes
        (frame(b"\x40" * 8, offset=9), "amqp:decode-error"),  # begins after its end
        (frame(b"\x40" * 8, type_=7), "amqp:decode-error"),
        (frame(b"\x40"), "amqp:decode-error"),  # no performative
        (frame(b"\x00\x53\x10\xd0\xff\xff\xff\xff\xff\xff\xff\xff"), "amqp:decode-error"),
        (frame(b"\x00\x53\x99\x45"), "amqp:decode-error"),
        (frame(b"\x00\x53\x14\x45"), "amqp:decode-error"),  # a transfer without a handle
        (frame(b"\x00\x53\x17\x45", channel=9), "amqp:not-allowed"),  # the end of a session that never began
        (frame(b"\x00\x53\x11\xc0\x04\x01\x60\x00\x00"), "amqp:not-allowed"),  # a second begin on the channel
        (frame(b"\x00\x53\x14\xc0\x03\x01\x52\x05"), "amqp:session:unattached-handle"),
        (frame(b"\x00\x53\x40\x45"), "amqp:not-allowed"),  # SASL among AMQP
        (frame(b"\x00\x53\x41\xc0\x04\x01\xa3\x01X", type_=1), "amqp:connection:framing-error"),
    ],
)
async def test_a_frame_that_is_wrong_closes_the_connection_with_its_reason(
    space: Namespace, data: bytes, condition: str
) -> None:
    client = await RawClient.signed_in(space.port)

    client.writer.write(data)

    assert await client.closed_with() == condition
    await still_serves(space)


async def test_a_client_of_another_version_is_told_ours(space: Namespace) -> None:
    client = await RawClient.connect(space.port)
    client.writer.write(b"AMQP\x00\x00\x09\x01")

    assert await client.reader.read() == AMQP_HEADER
    await client.close()


async def test_an_unknown_way_to_sign_in_is_refused(space: Namespace) -> None:
    client = await RawClient.connect(space.port)
    client.writer.write(SASL_HEADER)
    await client.reader.readexactly(8)
    await client.receive()
    client.send(frames.SASLInit(mechanism=b"SCRAM-SHA-1", initial_response=b"", hostname="x"), 0, SASL)

    assert (await client.receive())[1][0] == 1
    await client.close()


async def test_a_client_that_breaks_off_in_a_frame_leaves_nothing_behind(space: Namespace) -> None:
    client = await space.raw()
    await client.attach(QUEUE, 1)
    client.writer.write(struct.pack(">IBBH", 1000, 2, 0, 1) + b"\x00\x53\x14")
    await client.close()

    await still_serves(space)
    assert dict(await space.broker.engine.counts(QUEUE)) == {"active": 0, "scheduled": 0, "dead": 0}


@pytest.mark.parametrize(
    ("address", "receiving", "condition"),
    [
        ("nowhere", False, "amqp:not-found"),
        ("nowhere", True, "amqp:not-found"),
        ("nowhere/$management", False, "amqp:not-found"),
        ("events/Subscriptions/nobody", True, "amqp:not-found"),
        ("payments/$DeadLetterQueue", False, "amqp:not-allowed"),
        ("events", True, "amqp:not-allowed"),
        ("events/subscriptions/stock", True, "amqp:not-allowed"),  # it forwards everything
        ("", False, "amqp:not-found"),
    ],
)
async def test_a_link_that_leads_nowhere_has_no_ends_and_is_detached(
    space: Namespace, address: str, receiving: bool, condition: str
) -> None:
    client = await space.raw()

    answer = await client.attach(address, 1, receiving=receiving)
    detach = await client.until(DETACH)

    assert (answer[5], answer[6]) == (None, None)
    assert (detach[0], detach[1], detach[2][0]) == (1, True, condition.encode())
    assert (await client.attach(QUEUE, 1))[5] is not None  # the session lives on, the handle is free
    await client.close()


@pytest.mark.parametrize(
    "address", [QUEUE, "PAYMENTS", "amqps://127.0.0.1:1/payments", "payments/$management", "Events"]
)
async def test_addresses_are_taken_whole_or_short_in_any_case(space: Namespace, address: str) -> None:
    client = await space.raw()

    answer = await client.attach(address, 1)

    assert None not in (answer[5], answer[6])
    assert answer[10] == 262_144  # https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
    await client.close()


async def test_a_handle_is_used_once(space: Namespace) -> None:
    client = await space.raw()
    await client.attach(QUEUE, 1)
    client.send(made(frames.AttachFrame, name="other", handle=1, role=False, initial_delivery_count=0))

    assert await client.closed_with() == "amqp:session:handle-in-use"


async def test_frames_of_a_session_that_has_ended_are_ignored(space: Namespace) -> None:
    """The SDK detaches its links after it has ended their session."""
    client = await space.raw()
    await client.attach(QUEUE, 1)
    client.send(frames.EndFrame(None))
    client.send(frames.DetachFrame(1, False, None))
    await client.until(END)

    client.send(begin())
    assert (await client.attach(QUEUE, 1))[5] is not None
    await client.close()


async def put(space: Namespace, *ids: str, body: bytes = b"{}") -> None:
    bus = bus_at(space.port, space.key)
    await bus.publish(QUEUE, [OurMessage(id_, "T", body) for id_ in ids])
    await bus.close()


def id_in(transfer: list[Any]) -> str:
    return str(answer_in(transfer).properties.message_id, "utf-8")


async def test_no_more_is_sent_than_the_link_has_credit_for(space: Namespace) -> None:
    await put(space, "a", "b", "c")
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True)

    client.credit(1, 2)
    first = [id_in(await client.until(TRANSFER)) for _ in range(2)]
    client.credit(1, 0, drain=True, count=2)
    flow = await client.until(FLOW)

    assert first == ["a", "b"]
    assert (flow[4], flow[5], flow[6]) == (1, 2, 0)
    client.credit(1, 1, count=2)
    assert id_in(await client.until(TRANSFER)) == "c"
    await client.close()


async def test_a_drained_link_sends_what_it_has_and_gives_its_credit_back(space: Namespace) -> None:
    """AMQP, 2.6.7: https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html"""
    await put(space, "a")
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True)

    client.credit(1, 10, drain=True)
    code, transfer = await client.receive()
    flow = await client.until(FLOW)

    assert (code, id_in(transfer)) == (TRANSFER, "a")
    assert (flow[4], flow[5], flow[6], flow[8]) == (1, 10, 0, True)
    await put(space, "late")
    client.credit(1, 0, drain=True, count=10)
    assert (await client.receive())[0] == FLOW  # nothing was sent to a link without credit
    await client.close()


async def test_transfers_wait_for_the_sessions_window(space: Namespace) -> None:
    await put(space, "a", "b")
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True)
    client.credit(1, 10, window=2)  # the answer to put-token was the first transfer

    assert id_in(await client.until(TRANSFER)) == "a"
    client.send(frames.FlowFrame(2, 0, 0, 2048, None, None, None, None, False, True, None))  # echo
    assert (await client.receive())[0] == FLOW
    client.send(frames.FlowFrame(2, 5, 0, 2048, None, None, None, None, False, False, None))
    assert id_in(await client.until(TRANSFER)) == "b"
    await client.close()


async def test_a_large_message_comes_in_several_frames_and_whole(space: Namespace) -> None:
    body = bytes(range(256)) * 600
    await put(space, "large", body=body)
    client = await space.raw(max_frame_size=4096)
    await client.attach(QUEUE, 1, receiving=True)
    client.credit(1, 1)

    payload, numbers, parts = b"", set(), 0
    more = True
    while more:
        fields = await client.until(TRANSFER)
        payload += bytes(fields[-1])
        numbers.add(fields[1])
        more, parts = bool(fields[5]), parts + 1

    assert len(numbers) == 1
    assert parts > 30
    assert b"".join(answer_in([memoryview(payload)]).data) == body
    await client.close()


async def test_a_message_in_several_frames_is_taken_whole(space: Namespace) -> None:
    client = await space.raw()
    await client.attach(QUEUE, 1)
    payload = encode(Message(properties=Properties(message_id="m"), data=[b"x" * 5000]))

    for at in range(0, len(payload), 1000):
        client.transfer(1, payload[at : at + 1000], more=at + 1000 < len(payload))
    disposition = await client.until(DISPOSITION)

    assert (disposition[1], disposition[3], disposition[4]) == (0, True, {"accepted": []})
    assert (await space.broker.engine.counts(QUEUE))["active"] == 1
    await client.close()


async def test_a_message_larger_than_the_link_allows_is_rejected_and_detaches_it(space: Namespace) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas: 256 KB on the Standard tier."""
    client = await space.raw()
    await client.attach(QUEUE, 1)

    for number in range(9):
        client.transfer(1, b"x" * 32_768, more=number < 8)
    disposition = await client.until(DISPOSITION)
    detach = await client.until(DETACH)

    [[condition, description, _]] = disposition[4]["rejected"]
    assert (condition, detach[2][0]) == (b"amqp:link:message-size-exceeded",) * 2
    assert b"size:294912 bytes) exceeds the limit (262144 bytes)" in description
    assert (await space.broker.engine.counts(QUEUE))["active"] == 0
    assert (await client.attach(QUEUE, 2))[5] is not None
    await client.close()


@pytest.mark.parametrize(
    ("payload", "format_", "condition"),
    [
        (b"\xff\xff", 0, "amqp:decode-error"),
        (encode(Message(properties=Properties(message_id="x" * 129), data=[b""])), 0, "com.microsoft:argument-error"),
        (encode(Message(data=[encode(Message(data=[b"good"])), b"\xff"])), 0x80013700, "amqp:decode-error"),
    ],
)
async def test_a_message_that_cannot_be_taken_is_rejected_and_nothing_kept(
    space: Namespace, payload: bytes, format_: int, condition: str
) -> None:
    client = await space.raw()
    await client.attach(QUEUE, 1)

    client.transfer(1, payload, format_=format_)
    disposition = await client.until(DISPOSITION)

    assert disposition[4]["rejected"][0][0] == condition.encode()
    assert (await space.broker.engine.counts(QUEUE))["active"] == 0
    await client.close()


@pytest.mark.parametrize(
    ("operation", "status", "condition"),
    [
        ("com.microsoft:receive-by-sequence-number", 501, b"amqp:not-implemented"),
        ("com.microsoft:get-session-state", 501, b"amqp:not-implemented"),
        ("com.microsoft:peek-message", 400, b"com.microsoft:argument-error"),
        ("com.microsoft:renew-lock", 400, b"com.microsoft:argument-error"),
        ("com.microsoft:schedule-message", 400, b"com.microsoft:argument-error"),
        ("com.microsoft:cancel-scheduled-message", 400, b"com.microsoft:argument-error"),
    ],
)
async def test_a_request_that_is_not_understood_is_answered_so(
    space: Namespace, operation: str, status: int, condition: bytes
) -> None:
    client = await space.raw()
    await client.attach(f"{QUEUE}/$management", 1)
    await client.attach(f"{QUEUE}/$management", 2, receiving=True)
    client.credit(2, 1)
    request = Message(
        properties=Properties(message_id="r"), application_properties={"operation": operation}, value={"x": 1}
    )
    client.transfer(1, encode(request))

    answer = answer_in(await client.until(TRANSFER))

    facts = answer.application_properties
    assert (facts[b"statusCode"], facts[b"errorCondition"]) == (status, condition)
    assert answer.properties.correlation_id == b"r"
    await client.close()


async def test_deferring_is_refused_by_name(space: Namespace) -> None:
    """Not emulated, since nothing of ours defers; the message stays locked."""
    await put(space, "a")
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True)
    client.credit(1, 1)
    number = (await client.until(TRANSFER))[1]
    from azure.servicebus._pyamqp.outcomes import Modified

    client.send(frames.DispositionFrame(True, number, number, False, Modified(True, True, None), False))

    rejected = (await client.until(DISPOSITION))[4]["rejected"][0]
    assert (rejected[0], b"Defer" in rejected[1]) == (b"amqp:not-implemented", True)
    await client.close()


async def test_a_message_received_and_deleted_is_gone_when_it_is_sent(space: Namespace) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement#receiveanddelete"""
    await put(space, "a")
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True, settled=True)
    client.credit(1, 5)

    transfer = await client.until(TRANSFER)

    assert (id_in(transfer), transfer[4]) == ("a", True)
    assert (await space.broker.engine.counts(QUEUE))["active"] == 0
    await client.close()


async def test_links_need_a_token_that_reaches_their_entity(space: Namespace) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization"""
    client = await RawClient.signed_in(space.port)
    await client.attach(QUEUE, 1)
    assert (await client.until(DETACH))[2][0] == b"amqp:unauthorized-access"

    assert await client.put_token(signature(space.key, f"{HOST}/{QUEUE}"), f"{HOST}/{QUEUE}") == 200

    for handle, address in enumerate([QUEUE, "payments/$DeadLetterQueue", "payments/$management"], start=10):
        assert (await client.attach(address, handle, receiving=True))[5] is not None
    await client.attach("expiries", 20)
    assert (await client.until(DETACH))[2][0] == b"amqp:unauthorized-access"
    await client.close()


async def test_detaching_and_closing_are_answered(space: Namespace) -> None:
    client = await space.raw()
    await client.attach(QUEUE, 1, receiving=True)
    client.send(frames.DetachFrame(1, True, None))
    assert (await client.until(DETACH))[:2] == [1, True]

    client.send(frames.CloseFrame(AMQPError(b"amqp:connection:forced", "leaving", None)), 0)

    assert (await client.receive())[0] == 0x18
    assert await client.reader.read() == b""
    client.writer.close()
    assert space.broker.connections == set()


async def test_credit_for_a_link_that_is_not_attached_ends_the_connection(space: Namespace) -> None:
    client = await space.raw()

    client.credit(1, 10)

    assert await client.closed_with() == "amqp:session:unattached-handle"
