"""The grants: their type, their encoding, and the refresh token of the one that rotates."""

from __future__ import annotations

from typing import Any

import pytest

from m2m_auth import ConfigurationError
from m2m_auth.oauth2.grants import ClientCredentials, Grant, RefreshToken, first_refresh_token
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.oauth2.token_request import TokenRequest


@pytest.mark.parametrize("encoding", ["form", "json"])
def test_each_grant_names_itself(encoding: Any) -> None:
    """The type of RFC 6749, the encoding that the user chose, and no parameters of its own."""
    for grant, name in [
        (ClientCredentials(encoding), "client_credentials"),
        (RefreshToken("r", encoding), "refresh_token"),
    ]:
        assert isinstance(grant, Grant)
        assert (grant.grant_type, grant.encoding, grant.parameters()) == (name, encoding, ())


def test_a_form_is_the_default() -> None:
    """RFC 6749 knows no other encoding."""
    assert (ClientCredentials().encoding, RefreshToken("r").encoding) == ("form", "form")


@pytest.mark.parametrize("encoding", ["xml", "FORM", "", None, 5])
def test_another_encoding_is_refused(encoding: Any) -> None:
    """The message names the grant and what is known."""
    for make, name in [
        (ClientCredentials, "ClientCredentials"),
        (lambda given: RefreshToken("r", given), "RefreshToken"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            make(encoding)
        assert str(caught.value) == f"{name}: encoding={encoding!r} must be 'form' or 'json'"


def test_a_refresh_token_is_checked_as_a_secret() -> None:
    """A line break from a file would be sent to the server."""
    with pytest.raises(ConfigurationError, match=r"^refresh_token begins or ends with white space"):
        RefreshToken("r\n")


def test_only_a_rotating_grant_begins_with_a_refresh_token() -> None:
    """The engine asks any grant, a user's own as well."""
    assert first_refresh_token(RefreshToken("r3fr3sh")) == Secret("r3fr3sh")
    assert first_refresh_token(ClientCredentials()) is None


def test_two_refresh_tokens_have_two_keys() -> None:
    """Each is a user's consent of its own."""
    digests = {
        TokenRequest.checked(
            "https://tenant.example/token",
            "client",
            client_authentication="client_secret_basic",
            grant=grant,
            audience=None,
            scope=None,
            resource=None,
            extra_parameters=None,
        ).digest(b"g")
        for grant in (RefreshToken("a"), RefreshToken("b"), RefreshToken("a", "json"), ClientCredentials())
    }
    assert len(digests) == 4
