"""What identity tells: somebody was invited, and is to be told by mail; somebody is to be forgotten."""

from shared.events.envelope import Event
from shared.kernel.ids import PersonId


class MemberInvited(Event):
    """Somebody was invited to work for an organiser.

    :param nonce: of the mail; an older one is not sent any more
    """

    invitation_id: str
    nonce: str


class PersonInvited(Event):
    """An account was made for somebody, and they are to be told.

    :param organiser_id: none
    :param number: of the mail; an older one is not sent any more
    """

    person_id: PersonId
    number: int


class ErasePerson(Event):
    """Command to the `erasures` queue: forget a person.

    :param organiser_id: none
    """

    person_id: PersonId
