"""A server behind the gateway, as a process: it returns what it received, or fails as its path says."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

NAME, ADDRESS, PORT = sys.argv[1:]
counts: dict[str, int] = {}


async def describe(request: Request) -> Response:
    path = request.url.path
    counts[f"{request.method} {path}"] = counts.get(f"{request.method} {path}", 0) + 1
    if path == "/counts":
        return JSONResponse(counts)
    if path.startswith("/fails-with/"):
        return PlainTextResponse(NAME, int(path.rsplit("/", 1)[1]))
    if path.startswith("/sleeps/"):
        await asyncio.sleep(float(path.rsplit("/", 1)[1]))
    size = 0
    with contextlib.suppress(ClientDisconnect):
        async for chunk in request.stream():
            size += len(chunk)
    headers = {"Server": "secret/1.0"}
    if path == "/long-text":
        return PlainTextResponse("the same words " * 1000, headers=headers)
    if path == "/compressed":
        return Response(b"as it is", headers={**headers, "Content-Encoding": "br"}, media_type="text/plain")
    received = [[name.decode(), value.decode()] for name, value in request.headers.raw]
    body = {"name": NAME, "method": request.method, "path": request.scope["raw_path"].decode()}
    return JSONResponse({**body, "headers": received, "body_bytes": size}, headers=headers)


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"{NAME}: {text}")


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
app = Starlette(
    routes=[WebSocketRoute("/{path:path}", echo), Route("/{path:path}", describe, methods=METHODS)]
)
uvicorn.run(
    app, host=ADDRESS, port=int(PORT), log_level="warning", server_header=False, timeout_graceful_shutdown=2
)
