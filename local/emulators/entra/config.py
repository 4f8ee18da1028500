"""What the provider is told about itself: the addresses it answers at, and what tokens are for."""

from dataclasses import dataclass

GRAPH = "https://graph.microsoft.com"


@dataclass(frozen=True, slots=True)
class Door:
    """One of the addresses the provider answers at; each tells its own URLs and is an issuer of its own.

    :param url: scheme, host and port
    :param tenant: the directory's id
    """

    url: str
    tenant: str

    @property
    def root(self) -> str:
        """What the addresses of the tenant begin with."""
        return f"{self.url}/{self.tenant}"

    @property
    def issuer(self) -> str:
        """The authority, which is also the issuer in tokens."""
        return f"{self.root}/v2.0"

    @property
    def token_endpoint(self) -> str:
        """Where codes, refresh tokens and assertions are exchanged."""
        return f"{self.root}/oauth2/v2.0/token"

    @property
    def secure(self) -> bool:
        """Whether it is reached by TLS only."""
        return self.url.startswith("https:")
