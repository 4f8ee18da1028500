"""The secrets of a Tessera in its Key Vault: which are missing, which of those can be made, what becomes of old ones.

A value goes through a file that only its owner can read, never through an argument, and nothing here prints one.
"""

import json
import re
import secrets
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.delivery.azure import Azure, AzureFailed

RSA_BITS: Final = 2048
CERTIFICATE_MONTHS: Final = 12
ACCEPTED: Final = "gateway-accepted"  # what functions take for the gateway's proof: its next one, then the one it has
SMOKE_PASSWORD: Final = "smoke-password"  # noqa: S105 - its name; of the smoke test's operator; no function reads it
ROLE_ATTEMPTS_MAX: Final = 30  # a role that was just given is seen some minutes later
ROLE_PAUSE_SECONDS: Final = 20.0
VALUES_MAX: Final = 50  # of a listed secret; a vault takes 25,000 characters


class CannotRotate(Exception):
    """No new value for this secret from here; the message says why."""


class SecretMissing(Exception):
    """A secret that somebody else makes was not given, or is none; the message names its environment variable."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its name in the vault.

    :param make: makes one, where it is ours alone; None: it comes from elsewhere
    :param variable: the environment variable that brings it
    :param wanted: whether Tessera does without it
    :param wanted_with: the environment variable beside which it is wanted all the same
    :param form: what it looks like, where that is known; Stripe's have it in their first letters
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
    wanted_with: str = ""
    form: str = r"\S+"
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
    Secret("stripe-api-key", variable="STRIPE_API_KEY", form=r"(sk|rk)_\S+"),
    Secret("stripe-webhook-secret", variable="STRIPE_WEBHOOK_SECRET", form=r"whsec_\S+"),
    Secret("smtp-password", variable="SMTP_PASSWORD", wanted=False, wanted_with="SMTP_USERNAME", form=r"\S(.*\S)?"),
    Secret(
        "directory-certificate",
        variable="DIRECTORY_CLIENT_ID",
        wanted=False,
        wanted_with="DIRECTORY_AUTHORITY",
        certificate=True,
    ),
    Secret(SMOKE_PASSWORD, variable="TESSERA_SMOKE_PASSWORD", wanted=False, form=r"\S(.*\S)?"),
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
    given = environment.get(secret.variable, "") if secret.variable else ""
    if secret.name in present:
        unused = f", and {secret.variable} is not looked at: docs/runbook.md says how to change it"
        return Step(secret, "keep", f"it is there{unused if given and not secret.certificate else ''}")
    if secret.make is not None:
        return Step(secret, "make", "random, known to the vault alone")
    if given and not re.fullmatch(secret.form, given):
        return Step(secret, "refuse", f"{secret.variable} is no {secret.name}: it looks like {secret.form}")
    if given:
        return Step(secret, "make" if secret.certificate else "take", f"{secret.variable} is set")
    if secret.wanted or environment.get(secret.wanted_with):
        beside = f", because {secret.wanted_with} is" if not secret.wanted else ""
        return Step(secret, "miss", f"set {secret.variable}{beside}")
    return Step(secret, "leave out", f"{secret.variable} is not set, and nothing needs it")


def lacking(steps: Sequence[Step]) -> str:
    """What has to be set before the steps can be done; empty: nothing. Pure."""
    refused = [step.why for step in steps if step.does == "refuse"]
    missing = [step.why.removeprefix("set ") for step in steps if step.does == "miss"]
    return "; ".join([*refused, *([f"set {', '.join(missing)}"] if missing else [])])


@dataclass(frozen=True, slots=True)
class Vault:
    """A Key Vault.

    :param pause_seconds: between two tries while a role that was just given is not seen yet
    """

    azure: Azure
    name: str
    pause_seconds: float = ROLE_PAUSE_SECONDS

    def present(self) -> list[str]:
        """The names of its secrets; a certificate has one of its own name, which is told only if asked for.

        :raises AzureFailed: it does not tell, or still refuses after some minutes
        """
        words = ("--vault-name", self.name, "--include-managed", "true", "--query", "[].name")
        for attempt in range(1, ROLE_ATTEMPTS_MAX + 1):
            try:
                names: list[str] | None = self.azure.ask("keyvault", "secret", "list", *words)
            except AzureFailed as error:
                if "Forbidden" not in str(error) or attempt == ROLE_ATTEMPTS_MAX:
                    raise
                print(f"{self.name} does not know us yet ({attempt} of {ROLE_ATTEMPTS_MAX}); again in a moment")
                time.sleep(self.pause_seconds)
            else:
                return names or []
        raise AssertionError("the last attempt raises")

    def fill(self, environment: Mapping[str, str]) -> list[Step]:
        """Do what is planned, all of it or nothing.

        :raises SecretMissing: one is wanted and not given, or is none; nothing was changed
        :raises AzureFailed: Azure refused; asked again, it goes on where it was
        """
        steps = plan(self.present(), environment)
        if lack := lacking(steps):
            raise SecretMissing(f"Nothing was changed: {lack}.")
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
