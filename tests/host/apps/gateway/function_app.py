"""Functions that show what reaches them through the gateway, and answer in ways it has to deal with."""

import asyncio
import json
from collections import Counter

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
asked: Counter[str] = Counter()


def _told(req: func.HttpRequest, name: str) -> str:
    """What a function sees, and how often it was asked."""
    asked[name] += 1
    kept = {name: value for name, value in req.headers.items() if name.startswith(("x-", "authorization"))}
    return json.dumps(
        {"times": asked[name], "method": req.method, "headers": kept, "bytes": len(req.get_body()), "query": req.url}
    )


@app.route(route="browse", methods=["GET", "HEAD"])
async def browse(req: func.HttpRequest) -> func.HttpResponse:
    """A public read; like ours, it tells its caller apart where it knows one."""
    headers = {"x-correlation-id": req.headers["x-correlation-id"]}
    status = int(req.params.get("limit", "200"))
    if req.params.get("q") == "cookie":
        headers["set-cookie"] = "a=1"
    return func.HttpResponse(_told(req, "browse"), status_code=status, headers=headers, mimetype="application/json")


@app.route(route="browse/more", methods=["GET", "HEAD"])
async def browse_more(req: func.HttpRequest) -> func.HttpResponse:
    """Another public read, counted with the first."""
    return func.HttpResponse(_told(req, "browse"), mimetype="application/json")


@app.route(route="account", methods=["GET", "POST"])
async def account(req: func.HttpRequest) -> func.HttpResponse:
    """Something for the signed-in."""
    return func.HttpResponse(_told(req, "account"), mimetype="application/json")


@app.route(route="refusing", methods=["GET"])
async def refusing(req: func.HttpRequest) -> func.HttpResponse:
    """As a function answers that does not know a service key."""
    return func.HttpResponse(b"{}", status_code=401, mimetype="application/json")


@app.route(route="page", methods=["GET"])
async def page(req: func.HttpRequest) -> func.HttpResponse:
    """For everybody."""
    return func.HttpResponse(_told(req, "page"), mimetype="application/json")


@app.route(route="broken", methods=["GET"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    """A bug."""
    raise RuntimeError("the secret inside")


@app.route(route="troubled", methods=["GET", "POST", "PUT"])
async def troubled(req: func.HttpRequest) -> func.HttpResponse:
    """Fails `fails` times, with or without a word when to come again."""
    name = f"troubled {req.params['name']}"
    told = _told(req, name)
    if asked[name] > int(req.params["fails"]):
        return func.HttpResponse(told, mimetype="application/json")
    headers = {"retry-after": "7"} if "after" in req.params else {}
    return func.HttpResponse(told, status_code=int(req.params["status"]), headers=headers, mimetype="application/json")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    """Takes its time."""
    await asyncio.sleep(0.3)
    return func.HttpResponse(b"{}", mimetype="application/json")


@app.route(route="webhook", methods=["POST"])
async def webhook(req: func.HttpRequest) -> func.HttpResponse:
    """What the provider calls."""
    return func.HttpResponse(_told(req, "webhook"), mimetype="application/json")


@app.route(route="private", methods=["GET"])
async def private(req: func.HttpRequest) -> func.HttpResponse:
    """Behind the key."""
    return func.HttpResponse(_told(req, "private"), mimetype="application/json")
