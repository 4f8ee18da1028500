"""The people who can sign in, and the subjects that follow from their addresses; imports nothing heavy."""

import hashlib
import uuid
from base64 import urlsafe_b64encode
from typing import Literal, NamedTuple

DOMAIN = "tessera.example"
Role = Literal["admin", "creator", "operator", "user"]
_NAMESPACE = uuid.UUID("7e55e2a0-5a1e-4c1a-9d6b-1b6d5a3c0f11")


class Person(NamedTuple):
    """Someone the emulator knows from the start."""

    email: str
    name: str
    role: Role


PEOPLE: tuple[Person, ...] = (
    Person(f"ada@{DOMAIN}", "Ada Admin", "admin"),
    Person(f"clara@{DOMAIN}", "Clara Creator", "creator"),
    Person(f"oscar@{DOMAIN}", "Oscar Operator", "user"),
    Person(f"olga@{DOMAIN}", "Olga Operator", "operator"),  # of the platform; who works for an organiser is a user
    Person(f"uma@{DOMAIN}", "Uma User", "user"),
    Person(f"ugo@{DOMAIN}", "Ugo User", "user"),
    Person(f"una@{DOMAIN}", "Una User", "user"),
    Person(f"other-clara@{DOMAIN}", "Other Clara Creator", "creator"),
    Person(f"other-oscar@{DOMAIN}", "Other Oscar Operator", "user"),
)


def subject_of(email: str) -> str:
    """The `sub` of an address, always the same; it looks like Entra's pairwise subjects (43 URL-safe characters)."""
    digest = hashlib.sha256(f"tessera-entra-emulator:{email.strip().lower()}".encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def object_id_of(email: str) -> str:
    """The `oid` of an address, always the same."""
    return str(uuid.uuid5(_NAMESPACE, email.strip().lower()))
