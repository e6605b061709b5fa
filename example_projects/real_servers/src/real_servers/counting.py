"""WSGI middleware that counts token requests and mints without a patch of the server."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class MintCounter:
    """Counts POSTs to the token endpoint, and those answered with 200: the mints.

    `GET /_stats` shows the counts and `POST /_reset` zeroes them. Both need no token.
    """

    def __init__(self, app: WSGIApplication, token_path: str) -> None:
        self._app = app
        self._token_path = token_path
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._mints: Counter[str] = Counter()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the control paths, count the token endpoint, and pass all requests on unchanged."""
        route = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        if route == "GET /_stats":
            return _json(start_response, self.stats())
        if route == "POST /_reset":
            self.reset()
            return _json(start_response, {})
        if route == f"POST {self._token_path}":
            return self._counted(environ, start_response)
        return self._app(environ, start_response)

    def stats(self) -> dict[str, Any]:
        """Return the counts since the start or the last reset, in total and by client."""
        with self._lock:
            by_client = {
                client: {"mints": self._mints[client], "token_requests": count}
                for client, count in self._requests.items()
            }
            return {"mints": self._mints.total(), "token_requests": self._requests.total(), "by_client": by_client}

    def reset(self) -> None:
        """Forget every count."""
        with self._lock:
            self._requests.clear()
            self._mints.clear()

    def _counted(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a token request on, and count it and its result. The body is read and put back."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        client = _client_id(environ.get("HTTP_AUTHORIZATION", ""), body)
        with self._lock:
            self._requests[client] += 1

        def counting(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            # Counted before the first byte of the answer leaves, so a client that has its token finds it counted.
            if status.startswith("200"):
                with self._lock:
                    self._mints[client] += 1
            return start_response(status, headers, *exc_info)

        return self._app(environ, counting)


def _client_id(authorization: str, body: bytes) -> str:
    """Return the unverified client id from HTTP Basic, the form or a client assertion, or ""."""
    try:
        if authorization.startswith("Basic "):
            return unquote(base64.b64decode(authorization[6:]).decode().partition(":")[0])
        form = parse_qs(body.decode())
        if "client_assertion" in form:
            payload = form["client_assertion"][0].split(".")[1]
            return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
        return form.get("client_id", [""])[0]
    except (ValueError, LookupError):
        return ""


def _json(start_response: StartResponse, value: dict[str, Any]) -> Iterable[bytes]:
    """Answer 200 with JSON."""
    body = json.dumps(value).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
