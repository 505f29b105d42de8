"""An echo server in our own framework: it answers with the bytes of the request.

`app` uses Starlette's routing; `bare` only uvicorn and ASGI.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def predict(request: Request) -> Response:
    """Return the request's body."""
    return Response(await request.body(), media_type="application/json")


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The same without Starlette."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    length = (b"content-length", str(len(body)).encode())
    headers = [(b"content-type", b"application/json"), length]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
