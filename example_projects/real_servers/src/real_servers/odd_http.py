"""An authorization server and an API in one small HTTP server, whose every answer a test or a benchmark writes by hand.

It needs the standard library only. Each answer is one function, so that a server which breaks an RFC is a few lines.
The files `odd_answers.py` and `odd_refusals.py` hold what servers in the field send.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True)
class Asked:
    """A request, as the server read it. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    time: float
    """When it came, by the server's clock."""

    @property
    def secret(self) -> str:
        """The client secret, from HTTP Basic or the form; empty if there is none."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return unquote(base64.b64decode(credentials).decode().partition(":")[2])
        return self.form.get("client_secret", "")

    @property
    def bearer(self) -> str:
        """The token of the Authorization header, whatever its scheme; empty if there is none."""
        return self.headers.get("authorization", "").partition(" ")[2]


@dataclass(frozen=True)
class Reply:
    """An answer.

    Args:
        body: bytes are sent as they are; anything else as JSON.
        status: the HTTP status.
        headers: further headers, or others for those that the server sets itself; a list allows several of one name.
        interim: bytes that are sent before the answer, such as a 103.
        delay: seconds of real time before the answer.
        reset: True ends the connection with a TCP reset instead.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] | list[tuple[str, str]] = field(default_factory=dict)
    interim: bytes = b""
    delay: float = 0.0
    reset: bool = False

    def sent(self) -> bytes:
        """The bytes on the wire."""
        own = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        names = {name.lower() for name, _ in own}
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        if "content-type" not in names and raw:
            own.append(("Content-Type", "application/json" if not isinstance(self.body, bytes) else "text/html"))
        own.append(("Content-Length", str(len(raw))))
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Status')}"]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in own)])
        return self.interim + head.encode("latin-1") + b"\r\n\r\n" + raw


Answer = Callable[["OddServer", Asked], Reply]
"""From a request to the answer."""


def plain_token(server: OddServer, asked: Asked) -> Reply:
    """The answer of RFC 6749 §5.1."""
    return Reply({"access_token": server.mint(), "token_type": "Bearer", "expires_in": int(server.lifetime)})


def plain_api(server: OddServer, asked: Asked) -> Reply:
    """200 for a live token, else the 401 of RFC 6750 §3."""
    if server.is_live(asked.bearer):
        return Reply({"ok": True})
    return Reply({"ok": False}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


class OddServer:
    """Listens on a free port: POST to `/token` is a token request, anything else is a call of the API.

    Use it as a context manager. Attributes may be changed at any time.

    Args:
        token: how the token endpoint answers.
        api: how the API answers.
        now: the server's clock, Unix time in seconds.
        lifetime: the life of a token in seconds; the API refuses it afterwards.
        host: the address to listen on; one that is not loopback shows what plain http does there.
        tls: serves https with this context.
        one_live_token: a new token ends the one before it.
    """

    def __init__(
        self,
        token: Answer = plain_token,
        api: Answer = plain_api,
        *,
        now: Callable[[], float] = time.time,
        lifetime: float = 3600.0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        one_live_token: bool = False,
    ) -> None:
        self.token, self.api, self.now, self.lifetime = token, api, now, lifetime
        self.one_live_token = one_live_token
        self.token_requests: list[Asked] = []
        self.api_calls: list[Asked] = []
        self.mints = 0
        self._live: dict[str, float] = {}
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 60

            def log_message(self, *args: Any) -> None:
                """Logs nothing."""

            def setup(self) -> None:
                super().setup()
                odd._open.add(self.connection)

            def finish(self) -> None:
                odd._open.discard(self.connection)
                super().finish()

            def answer(self) -> None:
                odd._serve(self)

            do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - names of the base class

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *args: Any) -> None:
                """A client that goes away is no error here."""

        self._server = Server((host, 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://{host}:{self._server.server_port}"

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        return f"{self.url}/token"

    @property
    def api_url(self) -> str:
        """The URL of one resource of the API."""
        return f"{self.url}/orders"

    def mint(self, lifetime: float | None = None) -> str:
        """A new token, which the API accepts for `lifetime` seconds; it counts."""
        with self._lock:
            self.mints += 1
            token = f"odd-token-{self.mints}-of-{self._server.server_port}-with-enough-characters"
            if self.one_live_token:
                self._live.clear()
            self._live[token] = self.now() + (self.lifetime if lifetime is None else lifetime)
            return token

    def is_live(self, token: str) -> bool:
        """Whether the API accepts this token."""
        return self._live.get(token, 0.0) > self.now()

    def revoke_all(self) -> None:
        """Every token so far ends."""
        self._live.clear()

    def __enter__(self) -> OddServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        asked = Asked(handler.command, handler.path, headers, form, self.now())
        is_token_request = handler.command == "POST" and handler.path.partition("?")[0] == "/token"
        (self.token_requests if is_token_request else self.api_calls).append(asked)
        reply = (self.token if is_token_request else self.api)(self, asked)
        if reply.delay and self._stopping.wait(reply.delay):
            handler.close_connection = True
            return
        if reply.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            return
        handler.wfile.write(reply.sent())


def zipped(reply: Reply, name: str = "gzip") -> Reply:
    """The same answer, compressed; `name` is how the server calls the coding."""
    body = gzip.compress(json.dumps(reply.body).encode())
    return Reply(body, reply.status, {"Content-Type": "application/json", "Content-Encoding": name})
