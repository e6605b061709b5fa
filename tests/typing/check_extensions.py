"""Type-checked, never run: users' implementations of the protocols, and the errors that users catch."""

from __future__ import annotations

import requests
from typing_extensions import assert_type

from m2m_auth import TokenRequestRejected, TokenSource, TokenUnavailable
from m2m_auth.oauth2.client_authentication.protocol import ClientAuthentication, RequestCredentials
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, Transport
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

URL = "https://tenant.example/oauth/token"


class OwnMethod:
    """A client authentication method without a base class."""

    method = "own"

    def credential(self, client_secret: Secret | None) -> bytes:
        """Nothing."""
        return b""

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """A header."""
        return RequestCredentials({"X-Client": client_id}, ())


own: ClientAuthentication = OwnMethod()


def over_carrier_pigeon(request: HttpRequest) -> HttpResponse:
    """A user's transport."""
    return HttpResponse(503, {}, b"")


transport: Transport = over_carrier_pigeon
source = TokenSource(URL, "client", client_authentication=own, transport=transport, clock=FakeClock())

with FakeAuthorizationServer() as server:
    assert_type(server, FakeAuthorizationServer)
    TokenSource(server.token_endpoint, "client", "secret")

try:
    source.token()
except TokenRequestRejected as error:
    assert_type(error.status, int)
    assert_type(error.error_description, str | None)
except TokenUnavailable as error:
    assert_type(error.retry_after, float | None)
    assert_type(error.cause_code, str)
except requests.RequestException:
    pass
