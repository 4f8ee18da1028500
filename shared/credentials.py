"""Who we are to Azure: a managed identity, so that there is no key to keep, to leak or to rotate."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


def managed_identity(client_id: str | None) -> "AsyncTokenCredential":
    """The identity of the app we run in; it asks the platform for a token when one is first needed.

    :param client_id: of a user-assigned identity; None is the system-assigned one
    """
    from azure.identity.aio import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id) if client_id else ManagedIdentityCredential()
