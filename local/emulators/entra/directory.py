"""Signing in by password: the people of the start, tries counted, and the file that tells the launcher about them."""

import asyncio
import json
import os
from pathlib import Path

from local.emulators.database import PRIVATE_FILE, Database
from local.emulators.entra import throttle, users
from local.emulators.entra.clock import Clock
from local.emulators.entra.passwords import hashed, matches
from local.emulators.entra.people import PEOPLE, Person, object_id_of, subject_of
from local.emulators.entra.secrets import random_text
from local.emulators.entra.throttle import WRONG_PASSWORDS_FROM_ADDRESS, WRONG_PASSWORDS_OF_ACCOUNT, Throttle
from local.emulators.entra.users import User, Users, normalised

SCHEMA = (
    users.SCHEMA
    + throttle.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS seeded_people (id TEXT PRIMARY KEY);
"""
)
_PASSWORD_BYTES = 9


class Directory:
    """Signing in by password."""

    def __init__(self, database: Database, file: Path, password: str | None, clock: Clock) -> None:
        """Give everybody `password`, or one of their own at first start; `file` lists them for the launcher."""
        self._database = database
        self._clock = clock
        self._throttle = Throttle(database)
        self.users = Users(database)
        self._decoy = hashed(random_text(_PASSWORD_BYTES))
        known = {row["id"] for row in database.all("SELECT id FROM seeded_people")}
        if password is not None or not file.exists() or {object_id_of(person.email) for person in PEOPLE} - known:
            self._seed(file, password)

    async def sign_in(self, email: str, password: str, address: str) -> User | None:
        """The user, or None: for a wrong password and an unknown address alike, after the same work.

        Attempts are counted for unknown addresses too, and before the password is looked at, so that parallel guesses
        count; success takes them back.

        :param address: the network address that asks
        :raises Throttled: too many wrong passwords for this account, or from this network address
        """
        account = normalised(email)
        limits = ((WRONG_PASSWORDS_OF_ACCOUNT, account), (WRONG_PASSWORDS_FROM_ADDRESS, address))
        attempts = self._throttle.spend(*limits, now=self._clock.now())
        user = self.users.by_email(account)
        stored = None if user is None else self.users.password_of(user.id)
        right = await asyncio.to_thread(matches, password, stored or self._decoy)
        if user is None or stored is None or not right:
            return None
        # It may have been disabled or its password changed while we compared.
        user = self.users.get(user.id)
        if user is None or not user.enabled or self.users.password_of(user.id) != stored:
            return None
        self._throttle.take_back(attempts)
        self.forget_wrong(account)
        return user

    def forget_wrong(self, email: str) -> None:
        """Count from nothing again how often the password was wrong."""
        self._throttle.forget(WRONG_PASSWORDS_OF_ACCOUNT, normalised(email))

    def _seed(self, file: Path, password: str | None) -> None:
        """Add the people of the start, once; whom somebody deleted since stays away. The rest get passwords anew."""
        now, shown = self._clock.now(), []
        with self._database.transaction():
            for person in PEOPLE:
                identity = object_id_of(person.email)
                fresh = self._database.change("INSERT OR IGNORE INTO seeded_people VALUES (?)", identity)
                if fresh and self.users.by_email(person.email) is None:
                    self._add(person, now)
                user = self.users.get(identity)
                if user is None:
                    continue
                chosen = password or random_text(_PASSWORD_BYTES)
                self.users.set_password(user.id, hashed(chosen), now=now)
                told = {"id": user.id, "subject": user.subject, "email": user.email, "name": user.name}
                shown.append(told | {"role": person.role, "password": chosen})
            # Inside the transaction: a crash between the two would leave passwords nobody knows.
            _write(file, {"people": shown})

    def _add(self, person: Person, now: float) -> None:
        self.users.add(
            email=person.email,
            name=person.name,
            roles=(person.role,),
            verified=True,
            identity=object_id_of(person.email),
            subject=subject_of(person.email),
            now=now,
        )


def _write(file: Path, content: dict[str, list[dict[str, str]]]) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w") as out:
        json.dump(content, out, indent=2)
    unfinished.replace(file)
