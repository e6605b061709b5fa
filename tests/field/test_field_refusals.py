"""Refusals as token endpoints in the field send them: what they cost, how soon a new secret passes, what is said."""

from __future__ import annotations

import itertools
import ssl
import time
from typing import Any

import pytest
import trustme
from field_support import Door, call_for, closing_door, each_row, odd_server
from real_servers.odd_http import Asked, OddServer, Reply, plain_token
from real_servers.odd_refusals import THROTTLES, WRONG_SECRET, OddRefusal, Throttle

from m2m_auth import RenewalPolicy, TokenRequestRejected, TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)

ONE_OF_EACH_STATUS = list({row.status: row for row in reversed(WRONG_SECRET)}.values())
"""Each row shows whether the refusal may mean the secret; what follows then is the same for all rows."""


class SecretManager:
    """The place where the secret is kept; it counts how often it is asked."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.asked = 0

    def __call__(self) -> str:
        """The secret."""
        self.asked += 1
        return self.secret


def refused(door: Door, server: OddServer, auth: Any) -> TokenUnavailable:
    """The error of a call."""
    with pytest.raises(TokenUnavailable) as raised:
        door.get(server.api_url, auth)
    assert isinstance(raised.value, door.error)
    return raised.value


# a rotated secret


@each_row(WRONG_SECRET, lambda row: f"{row.who} ({row.report})", both=lambda row: isinstance(row.body, bytes))
def test_a_rotated_secret_passes_at_once(door: Door, clock: FakeClock, row: OddRefusal) -> None:
    """Whatever words the server finds, the secret is asked for once more, and the same call uses the new one."""
    secrets = SecretManager("old")

    def rotated(server: OddServer, asked: Asked) -> Reply:
        secrets.secret = "new"
        return row.token(server, asked)

    with odd_server(rotated, clock=clock) as server:
        auth = door.auth(server, clock, client_secret=secrets)
        assert door.get(server.api_url, auth).status_code == 200
    assert [asked.secret for asked in server.token_requests] == ["old", "new"]
    assert secrets.asked == 2


@REQUESTS
@pytest.mark.parametrize("row", ONE_OF_EACH_STATUS, ids=lambda row: row.who)
def test_a_rotation_in_the_middle_of_an_hour_is_not_noticed(door: Door, clock: FakeClock, row: OddRefusal) -> None:
    """2,651 of 3,600 calls failed in an hour (keycloak/keycloak#16923): now none does."""
    secrets = SecretManager("old")

    def token(server: OddServer, asked: Asked) -> Reply:
        return plain_token(server, asked) if asked.secret == secrets.secret else row.reply()

    with odd_server(token, clock=clock, lifetime=600) as server:
        auth = door.auth(server, clock, client_secret=secrets)
        tally = call_for(1200, door, auth, server, clock, step=100)
        secrets.secret = "new"
        tally.statuses += call_for(1200, door, auth, server, clock, step=100).statuses
    assert (tally.failed, len(tally.statuses)) == (0, 24)


@REQUESTS
@pytest.mark.parametrize("row", ONE_OF_EACH_STATUS, ids=lambda row: row.who)
def test_a_secret_that_stays_wrong_is_held_off(door: Door, clock: FakeClock, row: OddRefusal) -> None:
    """30 s doubling to 5 min: fewer than 20 requests an hour, and the secret manager is asked no more often."""
    secrets = SecretManager("old")
    with odd_server(row.token, clock=clock) as server:
        auth = door.auth(server, clock, client_secret=secrets)
        tally = call_for(3600, door, auth, server, clock, step=60)
    assert tally.failed == 60
    assert 5 <= len(server.token_requests) <= 20
    assert secrets.asked <= len(server.token_requests) + 1


@REQUESTS
@pytest.mark.parametrize("row", WRONG_SECRET, ids=lambda row: row.who)
def test_the_error_has_the_servers_words(door: Door, clock: FakeClock, row: OddRefusal) -> None:
    """The code, the words under whatever name, and the ids that support asks for; not our secret."""
    with odd_server(row.token, clock=clock) as server:
        error = refused(door, server, door.auth(server, clock, client_secret="a-secret-of-some-length"))
    assert isinstance(error, TokenRequestRejected)
    assert error.status == row.status
    assert [word for word in row.says if word not in str(error)] == []
    assert "a-secret-of-some-length" not in str(error)


# when to come back


@each_row(THROTTLES, lambda row: f"{row.name} ({row.report})", both=lambda row: "429" in row.name)
def test_a_server_that_says_when_is_not_asked_before(door: Door, clock: FakeClock, row: Throttle) -> None:
    """Ten minutes are ten minutes: 6 requests in an hour where 586 were counted, and the error says how long."""
    with odd_server(row.token(600), clock=clock) as server:
        auth = door.auth(server, clock)
        error = refused(door, server, auth)
        call_for(3600, door, auth, server, clock, step=60)
    assert error.retry_after is not None
    assert 595 <= error.retry_after <= 610
    assert 5 <= len(server.token_requests) <= 7
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(server.token_requests)]
    assert min(gaps) >= 599


@REQUESTS
def test_a_day_of_retry_after_is_an_hour(door: Door, clock: FakeClock) -> None:
    """A server that asks for a day is asked again after an hour: the longest wait is 3600 s."""
    with odd_server(THROTTLES[0].token(86400), clock=clock) as server:
        auth = door.auth(server, clock)
        call_for(4 * 3600, door, auth, server, clock, step=120)
    assert 3 <= len(server.token_requests) <= 4


@REQUESTS
def test_retry_after_does_not_hide_a_new_secret(door: Door, clock: FakeClock) -> None:
    """A 401 with ``Retry-After`` may still be a rotated secret: the secret is asked for again once."""
    secrets = SecretManager("old")

    def token(server: OddServer, asked: Asked) -> Reply:
        secrets.secret = "new"
        if asked.secret == "new":
            return plain_token(server, asked)
        return Reply({"error": "invalid_client"}, 401, {"Retry-After": "600"})

    with odd_server(token, clock=clock) as server:
        assert door.get(server.api_url, door.auth(server, clock, client_secret=secrets)).status_code == 200


@REQUESTS
def test_throttling_is_per_client_and_endpoint(door: Door, clock: FakeClock) -> None:
    """The limit is the client's: another audience does not ask at once; another client does."""
    with odd_server(THROTTLES[0].token(600), clock=clock) as server:
        cache = MemoryTokenCache()
        refused(door, server, door.auth(server, clock, cache=cache, audience="https://one.example"))
        second = refused(door, server, door.auth(server, clock, cache=cache, audience="https://two.example"))
        assert len(server.token_requests) == 1
        assert second.retry_after is not None
        assert second.retry_after > 590
        refused(door, server, door.auth(server, clock, cache=cache, client_id="another"))
        assert len(server.token_requests) == 2


@REQUESTS
def test_a_throttled_client_works_after_the_wait(door: Door, clock: FakeClock) -> None:
    """After the wait, and 5 s of jitter at most, the same auth gets its token, and the other audience gets its own."""
    clock.uniform = lambda: 1.0  # type: ignore[method-assign]
    with odd_server(THROTTLES[0].token(600), clock=clock) as server:
        cache = MemoryTokenCache()
        auths = [door.auth(server, clock, cache=cache, audience=name) for name in ("one", "two")]
        refused(door, server, auths[0])
        server.token = plain_token
        refused(door, server, auths[1])
        clock.advance(606)
        assert [door.get(server.api_url, auth).status_code for auth in auths] == [200, 200]
    assert len(server.token_requests) == 3


# what is advised


SPECIAL = "p@ss/w+rd&more=x%20"


@REQUESTS
def test_a_secret_with_special_characters_names_the_raw_variant(door: Door, clock: FakeClock) -> None:
    """Servers that decode nothing refuse a percent-encoded secret (keycloak/keycloak#16923): the fix is named."""
    refusal = Reply({"error": "invalid_client"}, 401)
    with odd_server(lambda server, asked: refusal, clock=clock) as server:
        special = refused(door, server, door.auth(server, clock, client_secret=SPECIAL))
        plain = refused(door, server, door.auth(server, clock, client_secret="plainsecret", client_id="other"))
        posted = refused(
            door,
            server,
            door.auth(
                server, clock, client_secret=SPECIAL, client_id="third", client_authentication="client_secret_post"
            ),
        )
    assert 'ClientSecretBasic("raw")' in str(special)
    assert "raw" not in str(plain)
    assert "raw" not in str(posted)
    assert SPECIAL not in str(special)


@REQUESTS
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_no_refresh_token_is_mentioned_where_there_is_none(door: Door, clock: FakeClock, error: str) -> None:
    """The advice about a used refresh token is only for the refresh grant."""
    with odd_server(lambda server, asked: Reply({"error": error}, 400), clock=clock) as server:
        assert "refresh token" not in str(refused(door, server, door.auth(server, clock))).lower()


@REQUESTS
@pytest.mark.parametrize("secret", ["client", "invalid", "token", "error", "client_id"])
def test_a_secret_that_is_a_plain_word_changes_no_code(door: Door, clock: FakeClock, secret: str) -> None:
    """Secrets are hidden in what is shown, after parsing: ``invalid_client`` stays ``invalid_client``."""
    body = {"error": "invalid_client", "error_description": "The client was refused"}
    with odd_server(lambda server, asked: Reply(body, 401), clock=clock) as server:
        error = refused(door, server, door.auth(server, clock, client_secret=secret))
    assert isinstance(error, TokenRequestRejected)
    assert (error.error, error.cause_code) == ("invalid_client", "invalid_client")
    assert "invalid_client" in str(error)


@REQUESTS
def test_a_secret_in_the_servers_words_is_hidden(door: Door, clock: FakeClock) -> None:
    """A server that repeats the secret shows it to no reader of the log."""
    secret = "9f8e7d6c5b4a39281706"
    body = {"error": "invalid_client", "error_description": f"secret {secret} is wrong"}
    with odd_server(lambda server, asked: Reply(body, 401), clock=clock) as server:
        error = refused(door, server, door.auth(server, clock, client_secret=secret))
    assert secret not in str(error) + repr(error) + str(vars(error))


def test_an_html_403_names_the_gateway_and_our_user_agent(door: Door, clock: FakeClock) -> None:
    """A firewall in front of the server judges the User-Agent, so the error says ours."""
    page = Reply(b"<html><title>403 Forbidden</title><h1>Request blocked</h1></html>", 403)
    with odd_server(lambda server, asked: page, clock=clock) as server:
        message = str(refused(door, server, door.auth(server, clock)))
        agent = server.token_requests[0].headers["user-agent"]
    assert "gateway" in message.lower()
    assert agent in message
    assert agent.startswith("m2m-auth/")
    assert f"{door.name}/" in agent


@REQUESTS
def test_a_redirect_names_its_target(door: Door, clock: FakeClock) -> None:
    """The secret goes nowhere else; the error says which origin the server points to."""
    away = Reply(b"", 308, {"Location": "https://login.example.net/oauth/token?x=1"})
    with odd_server(lambda server, asked: away, clock=clock) as server:
        message = str(refused(door, server, door.auth(server, clock)))
    assert "https://login.example.net" in message
    assert len(server.token_requests) == 1


@REQUESTS
def test_a_404_names_the_url(door: Door, clock: FakeClock) -> None:
    """A 4xx that is not OAuth makes the URL doubtful, so the error names it."""
    with odd_server(lambda server, asked: Reply(b"<html>Not here</html>", 404), clock=clock) as server:
        assert server.token_endpoint in str(refused(door, server, door.auth(server, clock)))


def test_a_tls_failure_says_what_to_set(door: Door) -> None:
    """A private CA: the error names ``verify=``, ``transport=`` and the variable that this library reads."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with odd_server(tls=context) as server:
        message = str(refused(door, server, door.auth(server)))
    assert "verify=" in message
    assert "transport=" in message
    variable = "REQUESTS_CA_BUNDLE" if door.name == "requests" else "SSL_CERT_FILE"
    assert variable in message


# slow servers; these take real time, so their deadlines are short


def test_the_whole_deadline_counts(door: Door) -> None:
    """A server that answers after three quarters of the deadline has answered in time: it was cut at 7 of 10 s."""
    with odd_server(lambda server, asked: Reply(plain_token(server, asked).body, delay=1.5)) as server:
        auth = door.auth(server, policy=RenewalPolicy(mint_deadline=2.0, lease=4.0))
        assert door.get(server.api_url, auth).status_code == 200
    assert len(server.token_requests) == 1


@REQUESTS
def test_a_slow_refusal_within_the_deadline_is_a_refusal(door: Door) -> None:
    """A tarpit that answers wrong secrets late is still understood: the words of the refusal arrive."""
    late = Reply({"error": "invalid_client"}, 401, delay=1.5)
    with odd_server(lambda server, asked: late) as server:
        auth = door.auth(server, policy=RenewalPolicy(mint_deadline=2.0, lease=4.0))
        assert refused(door, server, auth).cause_code == "invalid_client"


def hour_of(door: Door, reply: Reply, deadline: float) -> int:
    """The token requests in an hour of calls, each answered like this."""
    clock = FakeClock()
    with odd_server(lambda server, asked: reply, clock=clock) as server:
        auth = door.auth(server, clock, policy=RenewalPolicy(mint_deadline=deadline, lease=deadline + 2))
        call_for(3600, door, auth, server, clock)
    return len(server.token_requests)


@REQUESTS
def test_a_tarpit_is_not_asked_at_the_pace_of_an_outage(door: Door) -> None:
    """A client that only times out may be in a tarpit: it asks far less often than in an outage of 503s."""
    tarpit = hour_of(door, Reply({"error": "invalid_client"}, 401, delay=1.0), deadline=0.05)
    outage = hour_of(door, Reply(b"", 503), deadline=10.0)
    assert 1 <= tarpit < outage / 2


def test_a_session_that_sleeps_does_not_keep_its_callers() -> None:
    """A Retry of the user's own obeys Retry-After for a minute (urllib3/urllib3#1338): callers get the real cause."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=3, status_forcelist=[503], allowed_methods=None)))
    asleep = Reply(b"", 503, {"Retry-After": "3"})
    with closing_door("requests") as door, session, odd_server(lambda server, asked: asleep) as server:
        policy = RenewalPolicy(mint_deadline=0.3, lease=0.6, max_wait=10.0)
        began = time.monotonic()
        error = refused(door, server, door.auth(server, transport=session, policy=policy))
        took = time.monotonic() - began
    assert took < 3
    assert error.cause_code != "max_wait"
