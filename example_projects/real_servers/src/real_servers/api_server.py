"""The protected API: a Flask app that checks each token against its authorization server; started by `start_api`.

A refusal is RFC 6750's: 401 with a bare `Bearer` challenge without a token, with `error="invalid_token"` for a bad one.
`?challenge=none|bearer|invalid_token|insufficient_scope|basic` replaces the challenge of a refusal.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt
from flask import Flask, Response, jsonify, request

from .child import Config, run

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Check = Callable[[str], "dict[str, Any] | None"]
"""From a token to its claims, or None if it is not good."""

CHALLENGES = {
    "none": None,
    "bearer": 'Bearer realm="api"',
    "invalid_token": 'Bearer realm="api", error="invalid_token", error_description="The access token is not valid"',
    "insufficient_scope": 'Bearer realm="api", error="insufficient_scope", scope="admin"',
    "basic": 'Basic realm="api"',
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def jwt_check(jwks_url: str, issuer: str, audience: str | None) -> Check:
    """Check RFC 9068 tokens here, with the issuer's cached keys and no leeway."""
    keys = jwt.PyJWKClient(jwks_url, cache_keys=True)
    options = {"require": ["exp", "iat", "iss"], "verify_aud": audience is not None}

    def check(token: str) -> dict[str, Any] | None:
        try:
            if jwt.get_unverified_header(token).get("typ") != "at+jwt":
                return None
            key = keys.get_signing_key_from_jwt(token)
            return jwt.decode(token, key, ["RS256"], options, issuer=issuer, audience=audience, leeway=0)
        except jwt.PyJWKClientConnectionError:
            raise  # a fault of the server, not of the token: a 500, never a 401
        except jwt.PyJWTError:
            return None

    return check


def introspection_check(url: str, authorization: str) -> Check:
    """Ask the authorization server about every token on every call (RFC 7662), so that a revocation counts at once."""

    def check(token: str) -> dict[str, Any] | None:
        body = urlencode({"token": token}).encode()
        with urlopen(Request(url, body, {"Authorization": authorization}), timeout=10) as response:
            claims: dict[str, Any] = json.load(response)
        return claims if claims.get("active") else None

    return check


class Ledger:
    """The tokens that the API has seen, by their SHA-256, and those that it must refuse."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, the refusals included."""
        with self._lock:
            self._answers: defaultdict[str, Counter[int]] = defaultdict(Counter)
            self._first_seen: dict[str, float] = {}
            self._rejected: set[str] = set()
            self._issued_before = 0.0

    def count(self, path: str, status: int) -> None:
        """Count one answer."""
        with self._lock:
            self._answers[path][status] += 1

    def reject(self, sha256: str | None, all_issued_before: float) -> None:
        """Refuse one token from now on, or all that were issued before a time."""
        with self._lock:
            self._rejected.update([sha256] if sha256 else [])
            self._issued_before = max(self._issued_before, all_issued_before)

    def refuses(self, sha256: str, issued_at: float | None) -> bool:
        """Note a token, and return whether to refuse it.

        `iat` is cut to whole seconds. So a token counts as old only if its whole second is over, or if it was seen
        before: a token minted after the cut is never refused by mistake.
        """
        with self._lock:
            seen = self._first_seen.setdefault(sha256, time.time())
            latest_issue = seen if issued_at is None else min(seen, issued_at + 1)
            return sha256 in self._rejected or latest_issue <= self._issued_before

    def stats(self) -> dict[str, Any]:
        """Return the answers by path and status, and the number of distinct tokens seen."""
        with self._lock:
            return {
                "answers": {path: dict(counts) for path, counts in self._answers.items()},
                "tokens": len(self._first_seen),
            }


def refusal(default: str) -> Response:
    """Return the 401, with the challenge that the caller chose or the default one."""
    name = request.args.get("challenge", default)
    response = jsonify(error=name, authorization="Authorization" in request.headers)
    response.status_code = 401
    if challenge := CHALLENGES[name]:
        response.headers["WWW-Authenticate"] = challenge
    return response


def build(config: Config, base_url: str) -> WSGIApplication:
    """Return the API as one WSGI application."""
    ledger = Ledger()
    check = (
        jwt_check(config["jwks_url"], config["issuer"], config["audience"])
        if config["jwks_url"]
        else introspection_check(config["introspection_url"], config["introspection_authorization"])
    )
    app = Flask(__name__)

    @app.before_request
    def guard() -> Response | None:
        if request.path.startswith("/_") or request.path == "/redirect":
            return None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return refusal("bearer")
        claims = check(token)
        refused = ledger.refuses(hashlib.sha256(token.encode()).hexdigest(), (claims or {}).get("iat"))
        return refusal("invalid_token") if claims is None or refused else None

    @app.after_request
    def count(response: Response) -> Response:
        if not request.path.startswith("/_"):
            ledger.count(request.path, response.status_code)
        return response

    add_resources(app)
    add_controls(app, ledger)
    return app


def add_resources(app: Flask) -> None:
    """Add the paths for callers with a good token, and the redirect, which needs no token."""

    @app.get("/hello")
    def hello() -> Response:
        return jsonify(hello="world")

    @app.route("/echo", methods=METHODS, provide_automatic_options=False)
    def echo() -> Response:
        body = request.get_data()
        return jsonify(
            method=request.method,
            length=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            authorization="Authorization" in request.headers,
        )

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            for number in range(int(request_args.get("chunks", "10"))):
                yield f"chunk {number}\n".encode()

        request_args = request.args.copy()  # the request is gone when the body is produced
        return Response(chunks(), mimetype="text/plain")

    @app.route("/redirect", methods=METHODS, provide_automatic_options=False)
    def redirect() -> Response:
        return Response(status=int(request.args.get("code", "307")), headers={"Location": request.args["to"]})

    @app.route("/forbidden", methods=METHODS, provide_automatic_options=False)
    def forbidden() -> Response:
        return Response(status=403)

    @app.route("/insufficient", methods=METHODS, provide_automatic_options=False)
    def insufficient() -> Response:
        return Response(status=403, headers={"WWW-Authenticate": CHALLENGES["insufficient_scope"]})


def add_controls(app: Flask, ledger: Ledger) -> None:
    """Add the paths that a test reads and controls. They need no token and are not counted."""

    @app.get("/_stats")
    def stats() -> Response:
        return jsonify(ledger.stats())

    @app.post("/_reset")
    def reset() -> Response:
        ledger.reset()
        return jsonify({})

    @app.post("/_reject")
    def reject() -> Response:
        wanted = request.get_json()
        ledger.reject(wanted.get("sha256"), wanted.get("all_issued_before", 0.0))
        return jsonify({})


if __name__ == "__main__":
    run(build)
