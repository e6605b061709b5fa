"""Plays the tenant: its API over https, and its token endpoint, which forwards to Authlib's server."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import trustme

from m2m_auth.verifier import BearerError, JWTVerifier, bearer_token

if TYPE_CHECKING:
    from typing_extensions import Self

Answer = tuple[int, bytes]


class Tenant:
    """Serves https on a free loopback port while the block runs; ``authorities`` is the file of its CA."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authorities = folder / "authorities.pem"
        authority.cert_pem.write_to_path(str(self.authorities))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        self._server = _Server(("127.0.0.1", 0), _Quiet)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.set_app(self._answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.domain = f"127.0.0.1:{self._server.server_port}"
        self.audience = f"https://{self.domain}/api/v2/"
        self.calls: list[tuple[int, str]] = []
        """Each call of the API: the status of the answer, and the Authorization header."""
        self.revoked: set[str] = set()
        """Authorization headers that the API refuses from now on."""

    def trust(self, token_endpoint: str, jwks_url: str, issuer: str) -> None:
        """Let this server mint the tokens, and verify them with its keys."""
        self._token_endpoint = token_endpoint
        self._verifier = JWTVerifier(issuer, self.audience, jwks_url)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        status, body = self._token(environ) if path == "/oauth/token" else self._user(environ, path)
        start_response(f"{status} -", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _token(self, environ: dict[str, Any]) -> Answer:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        try:
            with build_opener(ProxyHandler({})).open(Request(self._token_endpoint, body), timeout=30) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def _user(self, environ: dict[str, Any], path: str) -> Answer:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        status = self._status(authorization)
        self.calls.append((status, authorization))
        user = {"user_id": path.removeprefix("/api/v2/users/"), "email": "pat@example.com"}
        return status, json.dumps(user if status == 200 else {}).encode()

    def _status(self, authorization: str) -> int:
        if authorization in self.revoked:
            return 401
        try:
            self._verifier.verify(bearer_token(authorization)).require(scope="read:users")
        except BearerError as error:
            return error.status
        return 200


class _Server(ThreadingMixIn, WSGIServer):
    request_queue_size = 128


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing."""
