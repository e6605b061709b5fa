"""The bench's server, a process of its own: m2m_auth.testing's fake, which also answers on the peers' paths.

``/bench?latency=0.3&format=jwt`` sets it up; the answer says how many tokens were minted since the last time.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import replace
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """The bench's side of the server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def mints(self, latency: float = 0.0, token_format: str = "opaque", lifetime: float = 3600.0) -> int:
        """The number of mints since the last call; prepares the server for the next part."""
        with urlopen(f"{self.url}/bench?latency={latency}&format={token_format}&lifetime={lifetime}") as answer:
            return int(json.load(answer)["mints"])

    def revoke_all(self) -> None:
        """Revoke every token so far: the API answers 401."""
        with urlopen(f"{self.url}/revoke") as answer:
            answer.read()


@contextmanager
def running() -> Iterator[Server]:
    """A running server while the block runs."""
    with Popen([sys.executable, __file__], stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            yield Server(process.stdout.readline().strip())  # type: ignore[union-attr]
        finally:
            process.stdin.close()  # type: ignore[union-attr]


def _serve() -> None:
    from m2m_auth.testing import FakeAuthorizationServer
    from m2m_auth.testing.fake_server.http_server import ReceivedRequest, Reply, Wire

    class BenchServer(FakeAuthorizationServer):
        reported = 0

        def _serve(self, request: ReceivedRequest, wire: Wire) -> None:
            if request.path == "/bench":
                wire.send(self._set_up(parse_qs(request.query)))
            elif request.path == "/revoke":
                self.revoke_all()
                wire.send(_json({}))
            elif request.path.endswith("/.well-known/openid-configuration"):  # msal
                wire.send(_json(_discovery("https://login.bench.example/tenant")))
            elif request.path == "/jwt-bearer/token":  # google-auth
                body = b"grant_type=client_credentials&client_id=client&client_secret=secret"
                super()._serve(replace(request, path="/oauth/token", body=body), wire)
            elif request.path.endswith("/token"):
                super()._serve(replace(request, path="/oauth/token"), wire)
            else:
                super()._serve(request, wire)

        def _accepted(self, token: str | None) -> bool:
            return (token or "").startswith("hard-coded") or super()._accepted(token)

        def _set_up(self, query: dict[str, list[str]]) -> Reply:
            self.latency = float(query["latency"][0])
            self.lifetime = float(query["lifetime"][0])
            self.token_format = query["format"][0]  # type: ignore[assignment]
            since, self.reported = self.mints - self.reported, self.mints
            self.requests.clear()
            self.api_calls.clear()
            return _json({"mints": since})

    def _json(value: Any) -> Reply:
        return Reply(200, json.dumps(value).encode(), (("Content-Type", "application/json"),))

    def _discovery(issuer: str) -> dict[str, str]:
        return {
            "issuer": f"{issuer}/v2.0",
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/oauth2/v2.0/token",
        }

    with BenchServer() as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()
