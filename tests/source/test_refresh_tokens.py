"""The refresh-token grant on the same life cycle: rotation, sharing, and never a replay."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from engine_support import SharedMemory, answer, refusal, source_on

from m2m_auth import ConfigurationError, TokenSource, TokenUnavailable
from m2m_auth.oauth2.grants import RefreshToken
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock, FaultyCache


class RotatingServer:
    """Exchanges each refresh token for a new one, and revokes the family when one comes twice (RFC 9700)."""

    def __init__(self, first: str = "r0-first") -> None:
        self.current = first
        self.used: list[str] = []
        self.revoked = False
        self.rotates = True
        self.minted = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request."""
        form = parse_qs(request.body.decode())
        assert form["grant_type"] == ["refresh_token"]
        (sent,) = form["refresh_token"]
        self.revoked = self.revoked or sent in self.used
        if self.revoked or sent != self.current:
            return refusal("invalid_grant")
        data = {"access_token": f"a{self.minted}-{id(self)}", "expires_in": 100}
        self.minted += 1
        if self.rotates:
            self.used.append(sent)
            self.current = f"r{self.minted}-next"
            data["refresh_token"] = self.current
        return answer(200, data)


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock."""
    return FakeClock()


def source_of(server: RotatingServer, clock: FakeClock, cache: object = None, client: str = "") -> TokenSource:
    """A source on the refresh-token grant."""
    client = client or f"refresh-{id(server)}"
    return source_on(server, clock, grant=RefreshToken("r0-first"), cache=cache, client_id=client)  # type: ignore[arg-type]


def test_the_newest_refresh_token_is_used(clock: FakeClock) -> None:
    """Each renewal sends the refresh token of the one before; none is sent twice."""
    server = RotatingServer()
    source = source_of(server, clock)
    for expected in range(5):
        assert source.token().value.startswith(f"a{expected}-")
        clock.advance(101)
    assert server.used == ["r0-first", "r1-next", "r2-next", "r3-next", "r4-next"]
    assert not server.revoked


def test_a_server_without_rotation(clock: FakeClock) -> None:
    """Where the server gives no new refresh token, the first one is used on."""
    server = RotatingServer()
    server.rotates = False
    source = source_of(server, clock)
    for _ in range(3):
        source.token()
        clock.advance(101)
    assert server.minted == 3


def test_what_another_process_rotated_is_adopted(clock: FakeClock) -> None:
    """Ten processes in turn, some of them new: each goes on from the newest refresh token, in the shared cache."""
    server = RotatingServer()
    base = SharedMemory()
    sources = [source_of(server, clock, SharedMemory(base)) for _ in range(10)]
    for source in sources:
        source.token()
        clock.advance(101)
    assert server.minted == 10
    assert not server.revoked


def test_it_is_sealed_in_the_cache(clock: FakeClock) -> None:
    """No refresh token is in the shared cache in the clear."""
    server = RotatingServer()
    base = SharedMemory()
    source_of(server, clock, base).token()
    stored = b"".join(value for value, _ in base._entries.values())
    assert b"r1-next" not in stored
    assert b"r0-first" not in stored


def test_nothing_is_refreshed_while_the_cache_cannot_say(clock: FakeClock) -> None:
    """With the shared cache down, a refresh token might be sent twice: the source fails instead, then recovers."""
    server = RotatingServer()
    base = SharedMemory()
    source_of(server, clock, SharedMemory(base)).token()
    faulty = FaultyCache(SharedMemory(base))
    other = source_of(server, clock, faulty)
    clock.advance(101)
    faulty.down = True
    with pytest.raises(TokenUnavailable) as caught:
        other.token()
    assert caught.value.cause_code == "cache_fault"
    assert server.minted == 1
    faulty.down = False
    clock.advance(20)
    other.token()
    assert server.minted == 2
    assert not server.revoked


def test_a_used_up_refresh_token_says_so(clock: FakeClock) -> None:
    """invalid_grant is a refusal with a message that names the fix, and is not tried on every call."""
    server = RotatingServer("another")
    source = source_of(server, clock)
    for _ in range(5):
        with pytest.raises(TokenUnavailable, match="get a new one") as caught:
            source.token()
    assert caught.value.cause_code == "invalid_grant"
    assert "r0-first" not in repr({name: getattr(source, name) for name in source.__slots__ if hasattr(source, name)})


@pytest.mark.parametrize("bad", ["", "  ", "x\n"])
def test_a_bad_refresh_token(bad: str) -> None:
    """A blank or padded refresh token is refused at once."""
    with pytest.raises(ConfigurationError, match="refresh_token"):
        RefreshToken(bad)


def test_client_credentials_drop_a_refresh_token(clock: FakeClock) -> None:
    """A refresh token in the response to client credentials is dropped."""
    sent: list[bytes] = []

    def server(request: HttpRequest) -> HttpResponse:
        sent.append(request.body)
        return answer(200, {"access_token": f"x{len(sent)}", "expires_in": 100, "refresh_token": "unasked"})

    source = source_on(server, clock)  # type: ignore[arg-type]
    source.token()
    clock.advance(101)
    source.token()
    assert all(b"refresh" not in body for body in sent)
    assert engine_of(source).state.rotation is None
