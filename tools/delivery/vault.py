"""The secrets of a Tessera in its Key Vault: which are missing, which of those can be made, what becomes of old ones.

A value goes through a file that only its owner can read, never through an argument, and nothing here prints one.
"""

import json
import secrets
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.delivery.azure import Azure

RSA_BITS: Final = 2048
CERTIFICATE_MONTHS: Final = 12
ACCEPTED: Final = "gateway-accepted"  # what functions take for the gateway's proof: its next one, then the one it has
SMOKE_PASSWORD: Final = "smoke-password"  # noqa: S105 - its name; of the smoke test's operator; no function reads it
VALUES_MAX: Final = 50  # of a listed secret; a vault takes 25,000 characters


class CannotRotate(Exception):
    """No new value for this secret from here; the message says why."""


class SecretMissing(Exception):
    """A secret that somebody else makes was not given; the message names its environment variable."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its name in the vault.

    :param make: makes one, where it is ours alone; None: it comes from elsewhere
    :param variable: the environment variable that brings it
    :param wanted: whether Tessera does without it
    :param listed: whether older values stay good behind the newest, comma-separated: what they signed is still out
        there
    :param alone: whether a new value can take its place at any moment; else others must hear of it first
        (docs/runbook.md)
    :param beside: the secret that says the same, so that both are the same where one of them is missing
    :param certificate: whether it is one, made in the vault itself, whose private key never leaves it but to the app
    """

    name: str
    make: Callable[[], str] | None = None
    variable: str = ""
    wanted: bool = True
    listed: bool = False
    alone: bool = False
    beside: str = ""
    certificate: bool = False


def _random() -> str:
    return secrets.token_urlsafe(32)


def _seed() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


SECRETS: Final = (
    Secret("signing-secret", make=_random, alone=True),
    Secret("ticket-key", make=_seed, listed=True, alone=True),
    Secret("insights-api-key", make=_random, alone=True),
    Secret("gateway-secret", make=_random, beside=ACCEPTED),
    Secret(ACCEPTED, make=_random, listed=True, beside="gateway-secret", alone=True),
    Secret("stripe-api-key", variable="STRIPE_API_KEY"),
    Secret("stripe-webhook-secret", variable="STRIPE_WEBHOOK_SECRET"),
    Secret("smtp-password", variable="SMTP_PASSWORD", wanted=False),
    Secret("directory-certificate", variable="DIRECTORY_CLIENT_ID", wanted=False, certificate=True),
    Secret(SMOKE_PASSWORD, variable="TESSERA_SMOKE_PASSWORD", wanted=False),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about a secret, and why."""

    secret: Secret
    does: str
    why: str


def plan(present: Sequence[str], environment: Mapping[str, str]) -> list[Step]:
    """What would be done for each secret; pure. What is there stays as it is."""
    return [_step(secret, present, environment) for secret in SECRETS]


def _step(secret: Secret, present: Sequence[str], environment: Mapping[str, str]) -> Step:
    if secret.name in present:
        return Step(secret, "keep", "it is there")
    if secret.make is not None:
        return Step(secret, "make", "random, known to the vault alone")
    if environment.get(secret.variable):
        return Step(secret, "make" if secret.certificate else "take", f"{secret.variable} is set")
    if secret.wanted:
        return Step(secret, "miss", f"set {secret.variable}")
    return Step(secret, "leave out", f"{secret.variable} is not set, and nothing needs it")


@dataclass(frozen=True, slots=True)
class Vault:
    """A Key Vault."""

    azure: Azure
    name: str

    def present(self) -> list[str]:
        """The names of its secrets; a certificate has one of its own name.

        :raises AzureFailed: it does not tell
        """
        names: list[str] = self.azure.ask("keyvault", "secret", "list", "--vault-name", self.name, "--query", "[].name")
        return names

    def fill(self, environment: Mapping[str, str]) -> list[Step]:
        """Do what is planned, all of it or nothing.

        :raises SecretMissing: one is wanted and not given; nothing was changed
        :raises AzureFailed: Azure refused; asked again, it goes on where it was
        """
        steps = plan(self.present(), environment)
        missing = [step.secret.variable for step in steps if step.does == "miss"]
        if missing:
            raise SecretMissing(f"Nothing was changed: set {', '.join(missing)}.")
        for step in steps:
            secret = step.secret
            if step.does == "make" and secret.certificate:
                self._make_certificate(secret.name)
            elif step.does == "make" and secret.make is not None:
                self._set(secret.name, self._said_beside(secret) or secret.make())
            elif step.does == "take":
                self._set(secret.name, environment[secret.variable])
        return steps

    def rotate(self, name: str) -> int:
        """Make a new value for a secret of ours, or for the gateway take the one that functions accept already.

        How many values it has then, the newest first.

        :raises CannotRotate: it is not one of ours, or has as many values as it can have, or nothing accepts a new one
        :raises AzureFailed: Azure refused; nothing was changed
        """
        able = {each.name: each for each in SECRETS if each.alone or each.beside}
        secret = able.get(name)
        if secret is None or secret.make is None:
            raise CannotRotate(f"{name} is not rotated from here; {', '.join(able)} are. See docs/runbook.md.")
        if not secret.alone:
            return self._follow(secret)
        values = [secret.make(), *(self.value(name).split(",") if secret.listed else [])]
        if secret.beside:
            values = [values[0], self.value(secret.beside)]  # what the gateway has, until it has the new one
        if len(values) > VALUES_MAX:
            raise CannotRotate(f"{name} has {VALUES_MAX} values; take out by hand those that nothing is signed with.")
        self._set(name, ",".join(values))
        return len(values)

    def _follow(self, secret: Secret) -> int:
        newest = self.value(secret.beside).split(",")[0]
        if newest == self.value(secret.name):
            raise CannotRotate(f"rotate {secret.beside} first, and let every function see it: nothing takes a new one.")
        self._set(secret.name, newest)
        return 1

    def _said_beside(self, secret: Secret) -> str:
        """The newest value of the secret that says the same, if that is there."""
        there = secret.beside and secret.beside in self.present()
        return self.value(secret.beside).split(",")[0] if there else ""

    def value(self, name: str) -> str:
        """A secret.

        :raises AzureFailed: it is not there, or not for us
        """
        words = ("keyvault", "secret", "show", "--vault-name", self.name, "--name", name, "--query", "value")
        found: str = self.azure.ask(*words)
        return found

    def _set(self, name: str, value: str) -> None:
        with _only_mine(value) as path:
            self.azure.ask(
                "keyvault", "secret", "set", "--vault-name", self.name, "--name", name, "--file", str(path),
                "--encoding", "utf-8", "--query", "id",
            )  # fmt: skip

    def _make_certificate(self, name: str) -> None:
        with _only_mine(json.dumps(certificate_policy())) as path:
            self.azure.ask(
                "keyvault", "certificate", "create", "--vault-name", self.name, "--name", name, "--policy", f"@{path}",
                "--query", "id",
            )  # fmt: skip


def certificate_policy() -> dict[str, Any]:
    """How the vault makes a certificate by which we prove who we are: self-signed, RSA; it reminds by mail."""
    return {
        "issuerParameters": {"name": "Self"},
        "keyProperties": {"exportable": True, "keySize": RSA_BITS, "keyType": "RSA", "reuseKey": False},
        "lifetimeActions": [{"action": {"actionType": "EmailContacts"}, "trigger": {"daysBeforeExpiry": 30}}],
        "secretProperties": {"contentType": "application/x-pkcs12"},
        "x509CertificateProperties": {
            "keyUsage": ["digitalSignature"],
            "subject": "CN=tessera-directory",
            "validityInMonths": CERTIFICATE_MONTHS,
        },
    }


@contextmanager
def _only_mine(text: str) -> Iterator[Path]:
    """A file with this text, as long as the block lasts, that nobody else can read."""
    with tempfile.TemporaryDirectory(prefix="tessera-vault-") as folder:
        path = Path(folder) / "value"
        path.touch(mode=0o600)
        path.write_text(text)
        yield path
