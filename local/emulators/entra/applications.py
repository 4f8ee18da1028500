"""The applications registered in the directory: sites people sign in to, and services that sign in themselves."""

import json
import uuid
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

_NAMESPACE = uuid.UUID("7e55e2a0-5a1e-4c1a-9d6b-1b6d5a3c0f12")


class Application(BaseModel):
    """One registration. With `redirect_uris` it is a public client, with `certificates` a service."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    id: str = Field(min_length=1, max_length=100)
    name: str = Field(default="", max_length=100)
    redirect_uris: frozenset[str] = Field(
        default=frozenset(), description="where people may be sent, after sign-in and sign-out; compared exactly"
    )
    certificates: tuple[str, ...] = Field(default=(), description="PEM; each may prove that it is the service")
    roles: Mapping[str, tuple[str, ...]] = Field(default={}, description="application roles by resource")

    @field_validator("certificates")
    @classmethod
    def _readable(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        for pem in found:
            if not isinstance(x509.load_pem_x509_certificate(pem.encode()).public_key(), rsa.RSAPublicKey):
                raise ValueError("only certificates of RSA keys are taken")  # noqa: TRY004 - what pydantic turns into a message
        return found

    @property
    def object_id(self) -> str:
        """The `oid` of the service in its tokens, always the same."""
        return str(uuid.uuid5(_NAMESPACE, self.id))

    @cached_property
    def by_thumbprint(self) -> Mapping[bytes, x509.Certificate]:
        """The certificates by their SHA-256 and, for clients that are still there, SHA-1 thumbprints."""
        loaded = [x509.load_pem_x509_certificate(pem.encode()) for pem in self.certificates]
        kinds = (hashes.SHA256(), hashes.SHA1())  # noqa: S303 - a name to find it by; the signature is what counts
        return {each.fingerprint(kind): each for each in loaded for kind in kinds}


class Applications:
    """The registrations, by id."""

    def __init__(self, registered: Iterable[Application]) -> None:
        self._by_id = {each.id: each for each in registered}

    def get(self, identity: str | None) -> Application | None:
        """The application of an id, if it is registered."""
        return self._by_id.get(identity or "")

    def all(self) -> list[Application]:
        """All of them, in the order of their registration."""
        return list(self._by_id.values())


def read_applications(file: Path) -> list[Application]:
    """The registrations in a JSON file: a list of `Application`.

    :raises ValueError: it is not that; pydantic's says where
    :raises OSError: it cannot be read
    """
    return TypeAdapter(list[Application]).validate_python(json.loads(file.read_text()))
