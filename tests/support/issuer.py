"""An issuer for the verifiers' tests: real keys, their JWKS and metadata, and JWTs; with or without a socket."""

from __future__ import annotations

import json
import threading
from collections import Counter
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.runtime.clock import SYSTEM_CLOCK, Clock

AUDIENCE = "https://api.example.com"
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def private_key(kid: str, algorithm: str = "RS256", bits: int = 2048) -> Any:
    """The private key with this id; made once per test process."""
    return _made(kid, algorithm, bits)


@lru_cache
def _made(kid: str, algorithm: str, bits: int) -> Any:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_jwk(kid: str, algorithm: str = "RS256", bits: int = 2048, **members: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    key = private_key(kid, algorithm, bits).public_key()
    data = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key))
    data = {name: value for name, value in data.items() if name != "key_ops"}
    return {**data, "kid": kid, "use": "sig", **members}


def public_pem(kid: str) -> bytes:
    """The public half in PEM: what an attacker signs with, in the HS256 confusion."""
    key = private_key(kid).public_key()
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


class Issuer:
    """An issuer whose answers a test can change while it runs.

    Attributes:
        path: the path of the issuer's identifier, or "".
        keys: the JWKS's keys.
        answers: by path, a (status, headers, body) that replaces the real answer.
        asked: the number of requests for each path.
        open: while it is cleared, no request is answered.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, path: str = "") -> None:
        self.clock = clock
        self.keys = [public_jwk("one")]
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: Counter[str] = Counter()
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        self._port = 0
        self._path = path

    def __enter__(self) -> Issuer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Opens the port, the same one each time."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer._serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Refuses connections from now on."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """The base URL: on loopback once it is started."""
        return f"http://127.0.0.1:{self._port}" if self._port else "https://issuer.example"

    @property
    def issuer(self) -> str:
        """The issuer's identifier."""
        return self.base_url + self._path

    @property
    def jwks_uri(self) -> str:
        """The URL of its keys."""
        return f"{self.base_url}/keys"

    @property
    def fetches(self) -> int:
        """The number of fetches of its keys."""
        return self.asked["/keys"]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """RFC 9068 claims for a client called billing; None takes one away."""
        now = self.clock.wall()
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "billing",
            "client_id": "billing",
            "scope": "read write",
            "iat": now,
            "exp": now + 600,
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, kid: str | None = "one", algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """A JWT signed with the real key ``kid``; None signs with the key "one" and does not say so."""
        stated = {"typ": "at+jwt", **({} if kid is None else {"kid": kid}), **(headers or {})}
        key = private_key(kid or "one", "RS256" if algorithm.startswith("PS") else algorithm)
        return jwt.encode(self.claims(**changed), key, algorithm=algorithm, headers=stated)

    def transport(self, request: HttpRequest) -> HttpResponse:
        """Answers without a socket, for verifiers of an issuer that is not started."""
        status, headers, body = self._answer(urlsplit(request.url).path)
        return HttpResponse(status, headers, body)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        status, headers, body = self._answer(handler.path)
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.asked[path] += 1
        self.open.wait(20)
        documents: dict[str, Any] = {
            "/keys": {"keys": self.keys},
            f"/.well-known/oauth-authorization-server{self._path}": {"issuer": self.issuer, "jwks_uri": self.jwks_uri},
        }
        return self.answers.get(path) or (
            (200, {"Content-Type": "application/json"}, json.dumps(documents[path]).encode())
            if path in documents
            else (404, {}, b"")
        )
