"""A double of an External ID tenant's native authentication, version 1: initiate, challenge, token.

https://learn.microsoft.com/entra/identity-platform/reference-native-authentication-api
"""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CLIENT_ID = "00001111-aaaa-2222-bbbb-3333cccc4444"


def tenant(passwords: Mapping[str, str], *, allowed: bool = True, second_factor: bool = False) -> Starlette:
    """The three endpoints, below `/tenant`.

    :param passwords: mail address → password
    :param allowed: whether the app registration allows native authentication; else people are sent to a browser
    :param second_factor: whether a password is not enough
    """

    async def initiate(request: Request) -> JSONResponse:
        async with request.form() as sent:
            if sent.get("client_id") != CLIENT_ID or sent.get("challenge_type") != "password redirect":
                return refusal("invalid_request", "AADSTS900144: a parameter is missing or wrong")
            if not allowed:
                return JSONResponse({"challenge_type": "redirect"})
            if sent.get("username") not in passwords:
                return refusal("user_not_found", "AADSTS1001: no such user")
            return JSONResponse({"continuation_token": f"begun {sent['username']}"})

    async def challenge(request: Request) -> JSONResponse:
        async with request.form() as sent:
            username = str(sent["continuation_token"]).removeprefix("begun ")
            kind = "oob" if second_factor else "password"
            return JSONResponse({"challenge_type": kind, "continuation_token": f"asked {username}"})

    async def token(request: Request) -> JSONResponse:
        async with request.form() as sent:
            username = str(sent["continuation_token"]).removeprefix("asked ")
            if sent.get("grant_type") != "password" or passwords.get(username) != sent.get("password"):
                return refusal("invalid_grant", "AADSTS50126: wrong username or password")
            return JSONResponse({"access_token": f"token of {username} for {sent['scope']}", "token_type": "Bearer"})

    steps = {"initiate": initiate, "challenge": challenge, "token": token}
    return Starlette(
        routes=[Route(f"/tenant/oauth2/v2.0/{name}", step, methods=["POST"]) for name, step in steps.items()]
    )


def refusal(error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, 400)
