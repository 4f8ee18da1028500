"""A directory of accounts in memory. The wire-level double is `local/emulators/entra`."""

from dataclasses import dataclass, field, replace

from shared.directory.port import (
    Creation,
    DirectoryBusy,
    DirectoryRefused,
    DirectoryUnavailable,
    DirectoryUser,
    UserPage,
    UserUnknown,
)


@dataclass
class Accounts:
    """See `Directory`; while `away` it answers nothing, while it `keeps` what is deleted it is not done with it.

    :param refuses: whether it deletes nobody
    """

    users: dict[str, DirectoryUser] = field(default_factory=dict)
    away: bool = False
    keeps: bool = False
    refuses: bool = False
    kept: set[str] = field(default_factory=set)
    revoked: list[str] = field(default_factory=list)

    async def find(self, text: str, *, limit: int, continuation: str | None = None) -> UserPage:
        """See `Directory.find`; a page has all there is."""
        self._answers()
        found = [user for user in self.users.values() if user.name.startswith(text) or user.email.startswith(text)]
        return UserPage(found[:limit], None)

    async def get(self, user_id: str) -> DirectoryUser:
        """See `Directory.get`."""
        self._answers()
        if user_id not in self.users:
            raise UserUnknown(f"There is no account {user_id}.", user_id=user_id)
        return self.users[user_id]

    async def create(self, *, email: str, name: str) -> Creation:
        """See `Directory.create`."""
        self._answers()
        for user in self.users.values():
            if user.email == email:
                return Creation(user, created=False)
        return Creation(self.add(f"oid-{len(self.users)}", email, name), created=True)

    async def change(self, user_id: str, *, name: str) -> None:
        """See `Directory.change`."""
        self.users[user_id] = replace(await self.get(user_id), name=name)

    async def disable(self, user_id: str) -> None:
        """See `Directory.disable`."""
        self.users[user_id] = replace(await self.get(user_id), enabled=False)

    async def enable(self, user_id: str) -> None:
        """See `Directory.enable`."""
        self.users[user_id] = replace(await self.get(user_id), enabled=True)

    async def delete(self, user_id: str) -> None:
        """See `Directory.delete`."""
        self._answers()
        if self.refuses:
            raise DirectoryRefused("Not this one.", code="Authorization_RequestDenied")
        if self.users.pop(user_id, None) is not None:
            self.kept.add(user_id)
        if self.keeps:
            raise DirectoryBusy("The directory has not taken note of the deletion yet.")
        self.kept.discard(user_id)

    async def revoke_sessions(self, user_id: str) -> None:
        """See `Directory.revoke_sessions`."""
        await self.get(user_id)
        self.revoked.append(user_id)

    def add(self, user_id: str, email: str, name: str) -> DirectoryUser:
        """Somebody with an account."""
        self.users[user_id] = DirectoryUser(user_id, email, name, enabled=True)
        return self.users[user_id]

    def _answers(self) -> None:
        if self.away:
            raise DirectoryUnavailable("The directory does not answer.")
