"""HTTP functions that show what the host hands in and how it takes answers."""

import asyncio
import json
import logging
import threading
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="empty", methods=["GET"])
async def empty(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}", mimetype="application/json")


@app.route(route="echo/{itemId?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    told = {
        "method": req.method,
        "url": req.url,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "body": req.get_body().decode(),
        "twice": req.headers.get("x-twice"),
    }
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


@app.route(route="orders/{orderId:guid}", methods=["GET"])
async def order_by_guid(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"guid {req.route_params['orderId']}")


@app.route(route="orders/mine", methods=["GET"])
async def my_orders(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("mine")


@app.route(route="orders/{orderId}", methods=["DELETE"])
async def cancel(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)


@app.route(route="files/{*path}", methods=["GET"])
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("path", "nothing"))


@app.route(route="cookies", methods=["GET"])
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("ok")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2")
    return response


@app.route(route="broken", methods=["GET"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("the secret inside")


@app.route(route="bad-header", methods=["GET"])
async def bad_header(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("x")
    response.headers._list.append(("x-evil", "a\r\nset-cookie: b"))
    return response


@app.route(route="nothing", methods=["GET"])
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None  # type: ignore[return-value] # the mistake under test


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    logging.getLogger("app").warning("slow has begun")
    await asyncio.sleep(float(req.params.get("seconds", "0.5")))
    return func.HttpResponse("slow and done")


@app.route(route="threaded", methods=["GET"])
def threaded(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    time.sleep(0.01)
    away = threading.current_thread() is not threading.main_thread()
    return func.HttpResponse(json.dumps({"away": away, "name": context.function_name}))


@app.route(route="any")
async def any_method(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)
