"""The double of Microsoft Graph: each rule, with the page of Microsoft's documentation it comes from."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest

from local.emulators.entra.config import GRAPH
from local.emulators.entra.graph_users import DOMAIN
from local.emulators.entra.people import object_id_of
from local.oidc_client import SignInRefused, sign_in
from shared.kernel.ids import random_id
from tests.support.credentials import Doors
from tests.support.directory import sign_in_double

UMA: Final = object_id_of("uma@tessera.example")
NOBODY: Final = "7e55e2a0-0000-4000-8000-00000000dead"
PASSWORD: Final = "Correct horse 1"
IDENTITY: Final = {"signInType": "emailAddress", "issuer": DOMAIN, "issuerAssignedId": "a@b.example"}
EVENTUAL: Final = {"ConsistencyLevel": "eventual"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with sign_in_double(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture
async def http(doors: Doors) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything."""
    async with httpx.AsyncClient(verify=doors.tls(), base_url=f"{doors.tls_url}/v1.0", timeout=60) as opened:
        opened.headers["Authorization"] = await bearer(opened, doors, "User.ReadWrite.All", "User.DeleteRestore.All")
        yield opened


async def bearer(http: httpx.AsyncClient, doors: Doors, *roles: str, **claims: Any) -> str:
    overrides = {"aud": GRAPH, "roles": list(roles), "scp": None, **claims}
    minted = await http.post(f"{doors.tls_url}/_emulator/tokens", json={"subject": "a-service", "overrides": overrides})
    return f"Bearer {minted.json()['access_token']}"


def account(**changes: Any) -> dict[str, Any]:
    """What a customer is created from."""
    email = changes.pop("email", f"{random_id('new')}@tessera.example")
    made = {
        "displayName": "Nora New",
        "identities": [{"signInType": "emailAddress", "issuer": DOMAIN, "issuerAssignedId": email}],
        "mail": email,
        "passwordProfile": {"password": PASSWORD, "forceChangePasswordNextSignIn": False},
        "passwordPolicies": "DisablePasswordExpiration",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


async def created(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await http.post("/users", json=account(**changes))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def found(http: httpx.AsyncClient, **query: str) -> list[str]:
    """The names of whom a search or filter finds."""
    answer = await http.get("/users", params={f"${name}": value for name, value in query.items()}, headers=EVENTUAL)
    assert answer.status_code == 200, answer.text
    return [user["displayName"] for user in answer.json()["value"]]


async def refused(http: httpx.AsyncClient, path: str, headers: Any = None, **query: str) -> tuple[int, str]:
    answer = await http.get(path, params={f"${name}": value for name, value in query.items()}, headers=headers)
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_user_is_created_with_an_identity_and_shown_as_the_example_shows_it(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/user-post-users#example-3-create-a-customer-account-in-external-tenants"""
    email = f"{random_id('new')}@tessera.example"

    user = await created(http, email=email)

    assert user["@odata.context"] == f"{http.base_url}".rstrip("/") + "/$metadata#users/$entity"
    assert (user["displayName"], user["mail"]) == ("Nora New", email)
    assert user["identities"][0] == {"signInType": "emailAddress", "issuer": DOMAIN, "issuerAssignedId": email}
    assert user["userPrincipalName"] == f"{user['id']}@{DOMAIN}"
    assert "passwordProfile" not in user


async def test_only_what_is_asked_for_is_shown(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/user-get: "by default, only a limited set of properties are returned"."""
    usual = (await http.get(f"/users/{UMA}")).json()
    chosen = (await http.get(f"/users/{UMA}", params={"$select": "id,accountEnabled"})).json()

    assert usual.keys() - {"@odata.context"} == {
        "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation",
        "preferredLanguage", "surname", "userPrincipalName",
    }  # fmt: skip
    assert {name: chosen[name] for name in chosen if name != "@odata.context"} == {"id": UMA, "accountEnabled": True}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        # https://learn.microsoft.com/graph/api/user-post-users: passwordProfile and DisablePasswordExpiration
        ({"passwordProfile": None}, 400),
        ({"passwordPolicies": None}, 400),
        ({"displayName": None}, 400),
        ({"displayName": "x" * 257}, 400),  # https://learn.microsoft.com/graph/api/resources/user
        # https://learn.microsoft.com/graph/api/resources/objectidentity: the issuer of local accounts, valid addresses
        ({"identities": [IDENTITY | {"issuer": "x.example"}]}, 400),
        ({"email": "nobody"}, 400),
        # https://learn.microsoft.com/entra/identity/authentication/concept-sspr-policy: three kinds, at least 8
        ({"passwordProfile": {"password": "lowercaseonly", "forceChangePasswordNextSignIn": False}}, 400),
        ({"passwordProfile": {"password": "aA1!", "forceChangePasswordNextSignIn": False}}, 400),
        # What Graph can and this double cannot
        ({"passwordProfile": {"password": PASSWORD, "forceChangePasswordNextSignIn": True}}, 501),
        ({"identities": [IDENTITY | {"signInType": "userName", "issuerAssignedId": "nora"}]}, 501),
        ({"jobTitle": "Buyer"}, 501),
        ({"mail": "other@tessera.example"}, 501),
    ],
)  # fmt: skip
async def test_what_makes_no_user_makes_none(http: httpx.AsyncClient, changes: dict[str, Any], status: int) -> None:
    before = await count(http)

    answer = await http.post("/users", json=account(**changes))

    assert (answer.status_code, await count(http)) == (status, before)


async def count(http: httpx.AsyncClient) -> int:
    answer = await http.get("/users", params={"$count": "true", "$top": "1"}, headers=EVENTUAL)
    return int(answer.json()["@odata.count"])


async def test_an_identity_is_unique(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/resources/objectidentity: "must be unique within the organization".

    The status and code are as people report them; no page lists them, and our adapter relies on neither.
    """
    email = (await created(http))["mail"]

    answer = await http.post("/users", json=account(email=email.upper()))

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["code"]) == (
        400,
        "Request_BadRequest",
        "ObjectConflict",
    )


async def test_a_change_answers_204_and_nothing_else_is_changed(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/user-update"""
    user = await created(http)
    shown = {"$select": "id,displayName,mail,identities,accountEnabled"}
    before = (await http.get(f"/users/{user['id']}", params=shown)).json()

    answer = await http.patch(f"/users/{user['id']}", json={"displayName": "Nora Newer"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.get(f"/users/{user['id']}", params=shown)).json() == before | {"displayName": "Nora Newer"}
    assert (await http.patch(f"/users/{user['id']}", json={"mail": "x@tessera.example"})).status_code == 501
    assert (await http.patch(f"/users/{NOBODY}", json={"displayName": "x"})).status_code == 404


async def test_a_disabled_user_cannot_sign_in(http: httpx.AsyncClient, doors: Doors) -> None:
    """https://learn.microsoft.com/graph/api/resources/user: accountEnabled"""
    user = await created(http)
    assert (await signed_in(doors, user["mail"])) is True
    for enabled in (False, True):
        answer = await http.patch(f"/users/{user['id']}", json={"accountEnabled": enabled})
        assert (answer.status_code, await signed_in(doors, user["mail"])) == (204, enabled)


async def signed_in(doors: Doors, email: str) -> bool:
    try:
        await sign_in(doors.emulator.last_word, "tessera-web", "http://127.0.0.1/", email, PASSWORD)
    except SignInRefused:
        return False
    return True


async def test_a_deleted_user_cannot_sign_in_and_is_kept_apart_until_deleted_there(
    http: httpx.AsyncClient, doors: Doors
) -> None:
    """https://learn.microsoft.com/graph/api/user-delete, https://learn.microsoft.com/graph/api/directory-deleteditems-delete"""
    user = await created(http)
    path, kept = f"/users/{user['id']}", f"/directory/deletedItems/{user['id']}"

    statuses = [
        (await http.delete(kept)).status_code,
        (await http.delete(path)).status_code,
        (await http.get(path)).status_code,
        (await http.delete(path)).status_code,
        (await http.delete(kept)).status_code,
        (await http.delete(kept)).status_code,
    ]

    assert statuses == [404, 204, 404, 404, 204, 404]
    assert not await signed_in(doors, user["mail"])


async def test_revoking_sessions_says_so_and_moves_the_moment_they_count_from(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/user-revokesigninsessions"""
    select = {"$select": "signInSessionsValidFromDateTime"}
    before = (await http.get(f"/users/{UMA}", params=select)).json()["signInSessionsValidFromDateTime"]

    answer = await http.post(f"/users/{UMA}/revokeSignInSessions")

    assert (answer.status_code, answer.json()["value"]) == (200, True)
    assert (await http.get(f"/users/{UMA}", params=select)).json()["signInSessionsValidFromDateTime"] >= before
    assert (await http.post(f"/users/{NOBODY}/revokeSignInSessions")).status_code == 404


async def test_a_search_takes_names_apart_and_compares_the_beginnings_of_addresses(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/search-query-parameter#using-search-on-directory-object-collections"""
    name = "Zoe QuixMurdoch 42nd-floor"
    email = (await created(http, displayName=name))["mail"]

    for text in ("zoe", "quix", "murdoch", "murdoch zoe", "ZOE", "42", "floor", "Qui"):
        assert await found(http, search=f'"displayName:{text}"') == [name]
    for text in ("ixmur", "zoe nobody", "loor"):
        assert await found(http, search=f'"displayName:{text}"') == []
    assert await found(http, search=f'"mail:{email[:20]}"') == [name]
    assert await found(http, search=f'"mail:{email[1:20]}"') == []
    assert await found(http, search=f'"displayName:nobody" OR "mail:{email}"') == [name]
    assert await found(http, search=f'"displayName:nobody" AND "mail:{email}"') == []


async def test_quotes_and_backslashes_in_a_search_are_escaped(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/search-query-parameter: the whole clause in quotes, those in it escaped"""
    assert await found(http, search=r'"mail:a\"b\\c"') == []
    for text in ("displayName:uma", '"displayName:uma', '"uma"', '"displayName:uma" "mail:uma"', '"a:b" or "c:d"'):
        assert await refused(http, "/users", EVENTUAL, search=text) == (400, "Request_BadRequest")


async def test_search_and_count_want_eventual_consistency(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/aad-advanced-queries"""
    unsupported = (400, "Request_UnsupportedQuery")
    assert await refused(http, "/users", search='"displayName:uma"') == unsupported
    assert await refused(http, "/users", count="true") == unsupported
    assert await refused(http, "/users", EVENTUAL, filter="startswith(mail,'u')", orderby="displayName") == unsupported
    assert "Uma User" in await found(http, filter="startswith(mail,'uma@')", orderby="displayName", count="true")


async def test_identities_are_filtered_by_issuer_and_id_together(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/api/resources/objectidentity#filtering"""
    user = await created(http, displayName="Ida Identity", email=f"o'{random_id('new')}@tessera.example")
    quoted = user["mail"].replace("'", "''")
    assert await found(
        http, filter=f"identities/any(c:c/issuerAssignedId eq '{quoted}' and c/issuer eq '{DOMAIN}')"
    ) == ["Ida Identity"]
    assert await refused(http, "/users", filter=f"identities/any(c:c/issuerAssignedId eq '{quoted}')") == (
        400,
        "Request_UnsupportedQuery",
    )


async def test_pages_are_followed_by_their_link_and_by_nothing_else(http: httpx.AsyncClient) -> None:
    """https://learn.microsoft.com/graph/paging"""
    query = {"$top": "3", "$count": "true", "$orderby": "displayName", "$select": "displayName"}
    names: list[str] = []
    answer = await http.get("/users", params=query, headers=EVENTUAL)
    first = answer.json()
    total, page = first["@odata.count"], first
    while True:
        assert len(names) < total
        names += [user["displayName"] for user in page["value"]]
        assert len(page["value"]) <= 3
        if "@odata.nextLink" not in page:
            break
        page = (await http.get(page["@odata.nextLink"], headers=EVENTUAL)).json()
        assert "@odata.count" not in page  # "present only in the first page"

    assert (len(names), names) == (total, sorted(names, key=str.lower))
    link = httpx.URL(first["@odata.nextLink"])
    assert link.params["$top"] == "3"
    elsewhere = {"$skiptoken": link.params["$skiptoken"], "$top": "3"}
    assert (await http.get("/users", params=elsewhere)).json()["error"]["code"] == "Directory_ExpiredPageToken"
    assert (await http.get(str(link))).status_code == 400  # the header is not kept from page to page


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({"top": "0"}, (400, "Request_BadRequest")),  # https://learn.microsoft.com/graph/api/user-list: at most 999
        ({"top": "1000"}, (400, "Request_BadRequest")),
        ({"skip": "1"}, (400, "Request_UnsupportedQuery")),  # "$skip isn't supported"
        ({"expand": "manager"}, (501, "NotImplemented")),
        ({"select": "manager"}, (501, "NotImplemented")),
        ({"filter": "endswith(mail,'x')"}, (501, "NotImplemented")),
        ({"orderby": "createdDateTime"}, (501, "NotImplemented")),
    ],
)
async def test_a_query_that_is_not_served_is_refused(
    http: httpx.AsyncClient, query: dict[str, str], answer: tuple[int, str]
) -> None:
    assert await refused(http, "/users", **query) == answer


async def test_what_is_not_emulated_says_so(http: httpx.AsyncClient) -> None:
    answer = await http.get("/groups")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        501,
        "This double does not emulate GET /v1.0/groups.",
    )
    assert await refused(http, f"/users/{UMA}@{DOMAIN}") == (501, "NotImplemented")


async def test_only_a_token_for_graph_with_the_permission_opens_it(http: httpx.AsyncClient, doors: Doors) -> None:
    """The permissions each operation's page names; https://learn.microsoft.com/graph/permissions-reference"""
    reader = await bearer(http, doors, "User.Read.All")
    statuses = {
        name: (await http.get(f"/users/{UMA}", headers={"Authorization": token})).status_code
        for name, token in {
            "none": "",
            "nonsense": "Bearer nonsense",
            "reader": reader,
            "without roles": await bearer(http, doors),
            "for our API": await bearer(http, doors, "User.Read.All", aud="api://tessera"),
            "of another issuer": await bearer(http, doors, "User.Read.All", iss="https://elsewhere.example"),
            "expired": await bearer(http, doors, "User.Read.All", exp=1_000_000_000),
        }.items()
    }
    assert statuses == {
        "none": 401, "nonsense": 401, "reader": 200, "without roles": 403, "for our API": 401,
        "of another issuer": 401, "expired": 401,
    }  # fmt: skip
    as_reader = {"Authorization": reader}
    assert (await http.post("/users", json=account(), headers=as_reader)).status_code == 403
    assert (await http.delete(f"/users/{NOBODY}", headers=as_reader)).status_code == 403
    writer = {"Authorization": await bearer(http, doors, "User.ReadWrite.All")}
    assert (await http.delete(f"/directory/deletedItems/{NOBODY}", headers=writer)).status_code == 403


async def test_graph_is_reached_by_tls_only(doors: Doors) -> None:
    async with httpx.AsyncClient() as plain:
        assert (await plain.get(f"{doors.emulator.url}/v1.0/users")).status_code == 404
