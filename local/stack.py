"""The whole of Tessera on this machine: the host and the servers we do not own, each its own process.

What `make run`, the demo, the benchmark and the end-to-end tests start. Secrets are made at first start and kept in the
data directory, readable by its owner only.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from local.directory import directory_settings, registration
from local.host.process import HostProcess
from local.layout import BusKind, Ports, StoreKind, azure_settings, made_of, stack_secrets
from shared.payments.stripe import WEBHOOK_EVENTS

ROOT: Final = Path(__file__).resolve().parent.parent
STARTED_SECONDS: Final = 60.0  # a second or two, but on a machine that has a lot to do
STOPPED_SECONDS: Final = 30.0
AUDIENCE: Final = "api://tessera"
CLIENT_ID: Final = "tessera-web"
TENANT: Final = "7e55e2a0-0000-4000-8000-000000000001"
EMULATORS: Final = ("entra", "mailbox", "stripe")


class StackFailed(Exception):
    """A part did not start, or ended by itself; the message says which and where its log is."""


@dataclass(slots=True)
class Stack:
    """A running Tessera.

    :param data: directory for everything durable, logs included
    :param telemetry: whether traces and metrics go to a double of Application Insights
    :param settings: settings that differ from the usual ones
    """

    data: Path
    ports: Ports
    workers: int = 1
    store: StoreKind = StoreKind.EMBEDDED
    bus: BusKind = BusKind.EMBEDDED
    telemetry: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    pages: str | None = "local.home:pages"
    host: HostProcess | None = None
    _parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)  # where in its log each part began

    @property
    def url(self) -> str:
        """The API's base, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports.host}"

    @property
    def stripe_url(self) -> str:
        """The payment double."""
        return f"http://127.0.0.1:{self.ports.stripe}"

    @property
    def entra_url(self) -> str:
        """The sign-in double."""
        return f"http://127.0.0.1:{self.ports.entra}"

    @property
    def entra_tls_url(self) -> str:
        """The sign-in double by TLS, for clients that accept nothing else; they trust `entra_ca`."""
        return f"https://127.0.0.1:{self.ports.entra_tls}"

    @property
    def entra_ca(self) -> Path:
        """The certificate of the authority that signed the sign-in double's."""
        return self.data / "entra" / "ca.pem"

    @property
    def mailbox_url(self) -> str:
        """Where mails can be read."""
        return f"http://127.0.0.1:{self.ports.mailbox}"

    @property
    def telemetry_url(self) -> str:
        """Where operations can be looked at, if `telemetry` is on."""
        return f"http://127.0.0.1:{self.ports.telemetry}" if self.telemetry else ""

    @property
    def authority(self) -> str:
        """The issuer people sign in at."""
        return f"{self.entra_url}/{TENANT}/v2.0"

    @property
    def redirect_uri(self) -> str:
        """Where the sign-in page sends people back to."""
        return f"{self.url}/signed-in"

    def people(self) -> list[dict[str, str]]:
        """The demo people: email, name, role, password."""
        found: list[dict[str, str]] = json.loads((self.data / "entra" / "people.json").read_text())["people"]
        return found

    def environment(self) -> dict[str, str]:
        """The settings the functions run with."""
        own = stack_secrets(self.data)
        return {
            "TESSERA_DATA": str(self.data),
            "TESSERA_STORE": self.store,
            "TESSERA_BUS": self.bus,
            **azure_settings(self.ports, self.store, self.bus, own["azure_key"]),
            "TESSERA_SIGNING_SECRET": own["signing_secret"],
            "TESSERA_TICKET_KEY": own["ticket_key"],
            "TESSERA_PUBLIC_URL": self.url,
            "AUTH_AUTHORITIES": self.authority,
            "AUTH_AUDIENCE": AUDIENCE,
            "GATEWAY_SECRET": own["gateway_secret"],
            **directory_settings(self.data, url=self.entra_tls_url, tenant=TENANT, ca=self.entra_ca),
            "STRIPE_API_KEY": own["stripe_api_key"],
            "STRIPE_API_BASE": self.stripe_url,
            "STRIPE_WEBHOOK_SECRET": own["stripe_webhook_secret"],
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.ports.smtp),
            "SMTP_STARTTLS": "false",
            "INSIGHTS_API_KEY": own["insights_api_key"],
            "TESSERA_MAILBOX_URL": self.mailbox_url,
            "TESSERA_STRIPE_URL": self.stripe_url,
            "TESSERA_SIGN_IN_URL": self.entra_url,
            "TESSERA_TELEMETRY_URL": self.telemetry_url,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self._telemetry(),
            **self.settings,
        }

    @property
    def emulators(self) -> Sequence[str]:
        """The doubles that this stack needs."""
        chosen = {
            "cosmos": self.store is StoreKind.COSMOS,
            "servicebus": self.bus is BusKind.SERVICEBUS,
            "applicationinsights": self.telemetry,
        }
        return [*EMULATORS, *(name for name, wanted in chosen.items() if wanted)]

    def ports_used(self) -> Mapping[str, int]:
        """The ports of what this stack starts, by name; those of doubles that are not wanted stay free."""
        kept_free = {
            *(("cosmos",) if self.store is StoreKind.EMBEDDED else ()),
            *(("servicebus", "servicebus_controls") if self.bus is BusKind.EMBEDDED else ()),
            *(() if self.telemetry else ("telemetry",)),
        }
        return {name: number for name, number in asdict(self.ports).items() if name not in kept_free}

    def start(self) -> Self:
        """Start every part and return once all answer.

        :raises StackFailed: a part did not start
        """
        self.data.mkdir(parents=True, exist_ok=True)
        try:
            self.start_emulators()
            self.start_host()
            made_of(self.data, self.store, self.bus)
        except BaseException:
            self.stop()
            raise
        return self

    def start_emulators(self) -> None:
        """Start the doubles of the servers we do not own.

        :raises StackFailed: one did not start
        """
        for name in self.emulators:
            self._start(name)
        for name in self.emulators:
            self._wait(name)

    def kill_emulator(self, name: str) -> None:
        """`kill -9` for one of `emulators`."""
        self._parts[name].kill()
        self._parts[name].wait()

    def start_emulator(self, name: str) -> None:
        """Start one of `emulators` again, after it was killed; it keeps its state.

        :raises StackFailed: it did not start
        """
        self._start(name)
        self._wait(name)

    def start_host(self) -> HostProcess:
        """Start the host; again after it was killed."""
        self.host = HostProcess.start(
            app=ROOT,
            data=self.data,
            port=self.ports.host,
            workers=self.workers,
            environment=self.environment(),
            arguments=["--pages", self.pages] if self.pages else [],
        )
        return self.host

    def ended(self) -> str:
        """The name of a part that ended by itself, or an empty string."""
        parts = {**self._parts, **({"host": self.host.process} if self.host else {})}
        return next((name for name, process in parts.items() if process.poll() is not None), "")

    def stop(self) -> None:
        """End every part in order: the host first, so that it can finish what it holds."""
        if self.host is not None and self.host.process.poll() is None:
            self.host.stop()
        for process in self._parts.values():
            process.send_signal(signal.SIGTERM)
        for process in self._parts.values():
            try:
                process.wait(STOPPED_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._parts.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, name: str) -> None:
        with self._log(name).open("ab") as log:  # another Tessera may be running here, and this is its log then
            self._told[name] = log.tell()
            self._parts[name] = subprocess.Popen(
                [sys.executable, "-m", f"local.emulators.{name}", *self._arguments(name)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._emulator_secrets(name), "PYTHONUNBUFFERED": "1"},
            )

    def _arguments(self, name: str) -> Sequence[str]:
        ports, common = self.ports, ["--data", str(self.data / name)]
        if name == "entra":
            doors = ["--port", str(ports.entra), "--tls-port", str(ports.entra_tls)]
            apps = ["--applications", str(registration(self.data)), "--smtp", f"127.0.0.1:{ports.smtp}"]
            return [*common, *doors, *apps, "--audience", AUDIENCE, "--client-id", CLIENT_ID,
                    "--redirect-uri", self.redirect_uri]  # fmt: skip
        if name == "mailbox":
            return [*common, "--port", str(ports.mailbox), "--smtp-port", str(ports.smtp)]
        if name == "cosmos":
            return [*common, "--port", str(ports.cosmos)]
        if name == "servicebus":
            return [*common, "--port", str(ports.servicebus), "--control-port", str(ports.servicebus_controls)]
        if name == "applicationinsights":
            return [*common, "--port", str(ports.telemetry)]
        wanted = [part for type_ in WEBHOOK_EVENTS for part in ("--webhook-event", type_)]
        return [*common, "--port", str(ports.stripe), "--webhook-url", f"{self.url}/api/payments/stripe", *wanted]

    def _emulator_secrets(self, name: str) -> Mapping[str, str]:
        own = stack_secrets(self.data)
        if name == "stripe":
            return {
                "STRIPE_API_KEY": own["stripe_api_key"],
                "STRIPE_WEBHOOK_SECRET": own["stripe_webhook_secret"],
            }
        keys = {"cosmos": "COSMOS_KEY", "servicebus": "SERVICEBUS_KEY"}
        return {keys[name]: own["azure_key"]} if name in keys else {}

    def _telemetry(self) -> str:
        """The connection string of the double, whose key is no secret and the same for all; empty: telemetry is off."""
        key = "7e55e2a0-0000-4000-8000-000000000002"
        return f"InstrumentationKey={key};IngestionEndpoint={self.telemetry_url}/" if self.telemetry else ""

    def _wait(self, name: str) -> None:
        give_up = time.monotonic() + STARTED_SECONDS
        while b"listening on" not in (told := self._log(name).read_bytes()[self._told[name] :]):
            if self._parts[name].poll() is not None or time.monotonic() > give_up:
                tail = told.decode(errors="replace")[-1_000:]
                raise StackFailed(f"{name} did not start; see {self._log(name)}\n{tail}")
            time.sleep(0.02)

    def _log(self, name: str) -> Path:
        return self.data / f"{name}.log"
