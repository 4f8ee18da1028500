"""The SDK's errors in the port's own words. Imports the SDK, so it is imported where the SDK is first used."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusServerBusyError,
)

from shared.bus.port import BusBusy, BusUnavailable, LockLost, MessageRefused

# After these the link is as good as before; after anything else it is opened anew.
HARMLESS = (
    BusBusy,
    LockLost,
    MessageRefused,
    MessageSizeExceededError,
    MessageLockLostError,
    MessageAlreadySettled,
    ServiceBusServerBusyError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Whatever the SDK raises inside, as a `BusError` with its cause.

    :raises MessageRefused: too large, or there is no such entity
    :raises LockLost: the lock lapsed, or the message was settled
    :raises BusBusy: it asks for fewer requests (https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling)
    :raises BusUnavailable: anything else that keeps the bus from answering
    """
    try:
        yield
    except (MessageSizeExceededError, MessagingEntityNotFoundError) as error:
        raise MessageRefused(_said(error)) from error
    except (MessageLockLostError, MessageAlreadySettled, MessageNotFoundError) as error:
        raise LockLost(_said(error)) from error
    except ServiceBusServerBusyError as error:
        raise BusBusy(_said(error)) from error
    except (AzureError, OSError, TimeoutError) as error:
        raise BusUnavailable(_said(error)) from error


def _said(error: Exception) -> str:
    return f"Service Bus: {str(error) or type(error).__name__}"
