"""An app with one function that does nothing: what the host itself costs."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="empty", methods=["GET"])
async def empty(req: func.HttpRequest) -> func.HttpResponse:
    """Nothing."""
    return func.HttpResponse(b"{}", mimetype="application/json")
