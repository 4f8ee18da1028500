"""What a directory of accounts must do: the real adapter, through msal and TLS, on the double of Graph."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache

import httpx
import pytest

from local.emulators.entra.people import object_id_of
from shared.directory.port import Directory, DirectoryRefused, DirectoryUser, UserPage, UserUnknown
from shared.kernel.clock import utc_now
from shared.kernel.ids import random_id
from shared.store.port import ContinuationRefused
from tests.support.credentials import Credential, Doors
from tests.support.directory import graph, pem_of, service, sign_in_double

NOBODY = "7e55e2a0-0000-4000-8000-00000000dead"


@cache
def credential() -> Credential:
    return Credential()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with sign_in_double(tmp_path_factory.mktemp("entra"), service([credential()])) as running:
        yield running


@pytest.fixture
async def directory(doors: Doors) -> AsyncIterator[Directory]:
    async with graph(doors, pem_of(credential())) as opened:
        yield opened


def address() -> str:
    return f"{random_id('new')}@tessera.example"


async def created(directory: Directory, name: str = "Nora New", email: str = "") -> DirectoryUser:
    return (await directory.create(email=email or address(), name=name)).user


async def every(directory: Directory, text: str, *, limit: int) -> list[UserPage]:
    """All pages."""
    pages = [await directory.find(text, limit=limit)]
    while pages[-1].continuation is not None:
        assert len(pages) < 100
        pages.append(await directory.find(text, limit=limit, continuation=pages[-1].continuation))
    return pages


async def test_an_account_that_was_created_is_found_by_id_address_and_name(directory: Directory) -> None:
    email, before = address(), utc_now()

    creation = await directory.create(email=email.upper(), name="Zebulon Quill")

    user = creation.user
    made = replace(user, user_id="", created_at=None)
    assert (creation.created, made) == (True, DirectoryUser("", email, "Zebulon Quill", enabled=True))
    read = await directory.get(user.user_id)
    assert replace(read, created_at=None) == user
    assert read.created_at is not None
    assert abs(read.created_at - before) < timedelta(minutes=1)
    assert [list(page.items) for page in (
        await directory.find(email, limit=10),
        await directory.find(f" {email.upper()} ", limit=10),
        await directory.find("quill", limit=10),
        await directory.find("Zeb", limit=10),
        await directory.find(email.partition("@")[0], limit=10),
    )] == [[read]] * 5  # fmt: skip
    assert (await directory.find("Quilted", limit=10)).items == []


async def test_an_address_that_has_an_account_keeps_it_as_it_is(directory: Directory) -> None:
    email = address()
    first = await directory.create(email=email, name="The first")

    again = await directory.create(email=email.title(), name="The second")

    assert (again.created, again.user.user_id, again.user.name) == (False, first.user.user_id, "The first")
    assert len((await directory.find(email, limit=10)).items) == 1


async def test_one_address_created_at_once_from_many_sides_has_one_account(directory: Directory) -> None:
    email = address()

    made = await asyncio.gather(*(directory.create(email=email, name=f"Side {n}") for n in range(5)))

    assert len({each.user.user_id for each in made}) == 1
    assert sum(each.created for each in made) == 1


async def test_pages_hold_everybody_once_in_the_order_of_their_names(directory: Directory) -> None:
    mark = random_id("page").partition("_")[2].translate(str.maketrans("234567", "ghijkl"))
    made = {(await created(directory, name=f"{mark} {letter}")).user_id for letter in "ecadb"}

    pages = await every(directory, mark, limit=2)

    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert [user.name[-1] for page in pages for user in page.items] == list("abcde")
    assert {user.user_id for page in pages for user in page.items} == made
    everybody = [user for page in await every(directory, "", limit=5) for user in page.items]
    assert len({user.user_id for user in everybody}) == len(everybody) >= 8 + len(made)
    assert [user.name.lower() for user in everybody] == sorted(user.name.lower() for user in everybody)


async def test_a_continuation_belongs_to_its_text_and_cannot_be_made_up(directory: Directory) -> None:
    page = await directory.find("", limit=1)
    assert page.continuation is not None
    forged = ("A" if page.continuation[0] != "A" else "B") + page.continuation[1:]
    for text, continuation in (("uma", page.continuation), ("", forged), ("", "nonsense")):
        with pytest.raises(ContinuationRefused):
            await directory.find(text, limit=1, continuation=continuation)


TEXTS = ("'", '"', "\\", '\\"', "a'b", "x' or startswith(mail,'u", '" OR "mail:u', "&$top=1", "%", "+", "#", "?", "ü ö")


async def test_any_text_is_looked_for_literally(directory: Directory) -> None:
    assert [(text, (await directory.find(text, limit=10)).items) for text in TEXTS] == [(text, []) for text in TEXTS]


async def test_any_address_is_found_by_itself(directory: Directory) -> None:
    for name in ("o'brien", "a+b", "a&b", "a%b", "a#b"):
        email = f"{name}.{address()}"

        made = await created(directory, email=email)

        assert made.email == email
        assert [user.email for user in (await directory.find(email, limit=10)).items] == [email]
        assert (await directory.create(email=email, name="Again")).user.user_id == made.user_id


async def test_an_account_changes_only_in_what_was_asked(directory: Directory) -> None:
    before = await directory.get((await created(directory)).user_id)
    other = await directory.get((await created(directory)).user_id)

    await directory.change(before.user_id, name="Nora Newer")
    renamed = await directory.get(before.user_id)
    await directory.disable(before.user_id)
    disabled = await directory.get(before.user_id)
    await directory.disable(before.user_id)
    await directory.enable(before.user_id)

    assert renamed == replace(before, name="Nora Newer")
    assert disabled == replace(renamed, enabled=False)
    assert await directory.get(before.user_id) == renamed
    assert await directory.get(other.user_id) == other


async def test_a_deleted_account_is_gone_for_good_and_its_address_free(directory: Directory, doors: Doors) -> None:
    email = address()
    user = await created(directory, email=email)

    await directory.delete(user.user_id)
    await directory.delete(user.user_id)

    with pytest.raises(UserUnknown):
        await directory.get(user.user_id)
    assert (await directory.find(email, limit=10)).items == []
    assert await kept(doors, user.user_id) == 404
    assert (await created(directory, email=email)).user_id != user.user_id


async def kept(doors: Doors, user_id: str) -> int:
    """The status of deleting an account from where deleted ones are kept: 404 if it is not there."""
    async with httpx.AsyncClient(verify=doors.tls(), base_url=doors.tls_url) as http:
        claims = {"aud": "https://graph.microsoft.com", "roles": ["User.DeleteRestore.All"]}
        minted = await http.post("/_emulator/tokens", json={"subject": "a-service", "overrides": claims})
        bearer = {"Authorization": f"Bearer {minted.json()['access_token']}"}
        return (await http.delete(f"/v1.0/directory/deletedItems/{user_id}", headers=bearer)).status_code


async def test_the_same_id_is_in_tokens(directory: Directory) -> None:
    (uma,) = (await directory.find("uma@tessera.example", limit=1)).items
    assert uma.user_id == object_id_of("uma@tessera.example")


@pytest.mark.parametrize(
    "asked",
    [
        lambda directory, user_id: directory.get(user_id),
        lambda directory, user_id: directory.change(user_id, name="Nobody"),
        lambda directory, user_id: directory.disable(user_id),
        lambda directory, user_id: directory.enable(user_id),
        lambda directory, user_id: directory.revoke_sessions(user_id),
    ],
)
async def test_an_unknown_account_is_refused_whatever_is_asked_of_it(
    directory: Directory, asked: Callable[[Directory, str], Awaitable[object]]
) -> None:
    for user_id in (NOBODY, "", "me", "..", "../organization", "uma@tessera.example", NOBODY.upper()):
        with pytest.raises(UserUnknown):
            await asked(directory, user_id)
        await directory.delete(user_id)


@pytest.mark.parametrize(("email", "name"), [("nobody", "No Address"), ("a@b", "No Domain"), ("a@b.example", "")])
async def test_what_the_directory_does_not_take_is_refused_with_its_own_word(
    directory: Directory, email: str, name: str
) -> None:
    with pytest.raises(DirectoryRefused) as refused:
        await directory.create(email=email, name=name)

    assert refused.value.facts == {"code": "InvalidValue"}
    found = (await directory.find(email, limit=10)).items  # by words, which others' names may begin with
    assert [user for user in found if email in {user.email, user.name} or user.name == name] == []


async def test_both_forms_of_the_certificate_are_taken(doors: Doors) -> None:
    async with graph(doors, credential().pkcs12()) as by_pkcs12:
        assert (await by_pkcs12.find("uma", limit=1)).items[0].name == "Uma User"
