"""What a stack is laid out with: which store and bus, where its parts listen, what they keep secret."""

import json
import secrets
import socket
import sys
import weakref
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

BUS_KEY_NAME: Final = "RootManageSharedAccessKey"
_KINDS: Final = "kinds.json"
_FREE_FROM: Final = 10_000
_FREE_UNTIL: Final = 32_000  # Linux gives outgoing connections ports from 32768 on (ip_local_port_range)
_TRIES_MAX: Final = 1_000


class StoreKind(StrEnum):
    """Where documents are kept: a file, or through Azure's SDK a double of Cosmos DB."""

    EMBEDDED = "embedded"
    COSMOS = "cosmos"


class BusKind(StrEnum):
    """Where messages are sent: a file, or through Azure's SDK a double of Service Bus."""

    EMBEDDED = "embedded"
    SERVICEBUS = "servicebus"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Ports:
    """Where everything listens on 127.0.0.1."""

    host: int = 7071
    stripe: int = 7072
    entra: int = 7073
    mailbox: int = 7074
    smtp: int = 7025
    cosmos: int = 7076
    servicebus: int = 7077
    servicebus_controls: int = 7078
    telemetry: int = 7079
    entra_tls: int = 7080

    @classmethod
    def counted_from(cls, first: int) -> Self:
        """One after the other, the host's first."""
        return cls(*range(first, first + len(fields(cls))))

    @classmethod
    def free(cls) -> Self:
        """Ports nobody uses, one after the other, and that nobody else is given for as long as this object lives.

        The kernel gives them to no outgoing connection, and whoever else asks for free ports gets others: between the
        choice and the moment a double listens lie seconds, and tests run side by side.
        """
        for _ in range(_TRIES_MAX):
            first = _FREE_FROM + secrets.randbelow(
                _FREE_UNTIL - _FREE_FROM - len(fields(cls))
            )  # `random` may be seeded
            ports = cls.counted_from(first)
            held = _held(range(first, first + len(fields(cls))))
            if held:
                weakref.finalize(ports, _let_go, held)
                return ports
        raise OSError(f"No {len(fields(cls))} free ports in a row, of {_FREE_FROM} to {_FREE_UNTIL}.")


def _held(numbers: Sequence[int]) -> list[socket.socket]:
    """These ports, kept for who knows their numbers; nothing if any of them is in use, or kept by somebody else."""
    held: list[socket.socket] = []
    for number in numbers:
        each = socket.socket()
        held.append(each)
        try:
            each.bind(("127.0.0.1", number))
        except OSError:
            _let_go(held)
            return []
    for each in held:
        if sys.platform == "linux":
            # Set only now: with it, the bind above would not have seen who else keeps the port. Servers set it before
            # they bind, and Linux lets them listen on a port where others only bound, if these have it too.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            each.close()
    return held


def _let_go(held: Sequence[socket.socket]) -> None:
    for each in held:
        each.close()


def made_of(data: Path, store: StoreKind, bus: BusKind) -> None:
    """Write down what a data directory was made with: orders in one store are not in the other."""
    (data / _KINDS).write_text(json.dumps({"store": store, "bus": bus}))


def kinds_of(data: Path) -> tuple[StoreKind, BusKind] | None:
    """What a data directory was made with; None where nothing was made yet."""
    path = data / _KINDS
    if path.exists():
        found = json.loads(path.read_text())
        return StoreKind(found["store"]), BusKind(found["bus"])
    return (StoreKind.EMBEDDED, BusKind.EMBEDDED) if (data / "store.db").exists() else None


def azure_settings(ports: Ports, store: StoreKind, bus: BusKind, key: str) -> dict[str, str]:
    """How the functions and the host reach the doubles of Azure's services, where they are wanted."""
    endpoint, namespace = f"http://127.0.0.1:{ports.cosmos}", f"sb://127.0.0.1:{ports.servicebus}"
    wanted: dict[str, str] = {}
    if store is StoreKind.COSMOS:
        wanted["COSMOS"] = f"AccountEndpoint={endpoint};AccountKey={key};"
    if bus is BusKind.SERVICEBUS:
        connection = f"Endpoint={namespace};SharedAccessKeyName={BUS_KEY_NAME};SharedAccessKey={key}"
        wanted["SERVICEBUS"] = f"{connection};UseDevelopmentEmulator=true"
    return wanted


def stack_secrets(data: Path) -> dict[str, str]:
    """The secrets of a data directory, made at first use."""
    path = data / "secrets.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = _SECRETS.keys() - found.keys()
    if missing:
        found = {**{name: make() for name, make in _SECRETS.items()}, **found}
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(found, indent=2))
        fresh.rename(path)  # whole or not at all
    return found


_SECRETS: Final[Mapping[str, Callable[[], str]]] = {
    "signing_secret": lambda: secrets.token_urlsafe(32),
    "ticket_key": lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
    "stripe_api_key": lambda: f"sk_test_{secrets.token_hex(16)}",
    "stripe_webhook_secret": lambda: f"whsec_{secrets.token_hex(16)}",
    "insights_api_key": lambda: secrets.token_urlsafe(32),
    "gateway_secret": lambda: secrets.token_urlsafe(32),
    "azure_key": lambda: b64encode(secrets.token_bytes(64)).decode(),
}
