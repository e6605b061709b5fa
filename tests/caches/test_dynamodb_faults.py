"""DynamoDB's errors and a failing network: no error looks like "held", and no error fails a call."""

from __future__ import annotations

import json
import secrets
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from dynamodb_fixtures import TABLE, cache, cache_at_edge, credentials, dynamodb, edge, endpoint
from dynamodb_steps import SECRETS, TIMEOUT, open_cache
from real_servers.dynamodb_edge import Edge
from real_servers.fault_proxy import FaultProxy
from real_servers.stores import Store, free_port, start_dynamodb

from m2m_auth import TokenSource
from m2m_auth.caches.dynamodb import DynamoDBTokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer

__all__ = ["cache", "cache_at_edge", "credentials", "dynamodb", "edge", "endpoint"]

OPERATIONS: dict[str, tuple[str, Callable[[DynamoDBTokenCache], object]]] = {
    "get": ("GetItem", lambda cache: cache.get("key")),
    "set": ("PutItem", lambda cache: cache.set("key", b"value", 60)),
    "delete": ("DeleteItem", lambda cache: cache.delete("key")),
    "add": ("PutItem", lambda cache: cache.add("key", b"value", 60)),
    "delete_if": ("DeleteItem", lambda cache: cache.delete_if("key", b"value")),
    "increment": ("UpdateItem", lambda cache: cache.increment("key", 60)),
}
THROTTLED = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"]


@pytest.fixture
def proxy(dynamodb: Store) -> Iterator[FaultProxy]:
    """A network that fails on demand."""
    with FaultProxy(dynamodb.port) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: FaultProxy) -> Iterator[DynamoDBTokenCache]:
    """A cache behind that network, with a short timeout and an existing client."""
    cache = open_cache(f"http://{proxy.address}", TABLE, timeout=0.3)
    for _ in range(3):  # a busy machine
        try:
            cache.get("warm")
            break
        except CacheUnavailable:
            continue
    yield cache
    cache.close()


@pytest.mark.processes
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("code", THROTTLED)
def test_throttling(cache_at_edge: DynamoDBTokenCache, edge: Edge, operation: str, code: str) -> None:
    """A throttled request raises CacheUnavailable with the fix, after one request without a retry."""
    action, operate = OPERATIONS[operation]
    edge.fail(code)
    with pytest.raises(CacheUnavailable, match=f"{action}: {code}: DynamoDB throttles.*Fix: on-demand capacity"):
        operate(cache_at_edge)
    assert [each.action for each in edge.seen] == [action]


@pytest.mark.processes
@pytest.mark.parametrize("operation", ["add", "delete_if"])
def test_a_failed_condition(cache_at_edge: DynamoDBTokenCache, edge: Edge, operation: str) -> None:
    """A failed condition is the answer "held" and not an error."""
    edge.fail("ConditionalCheckFailedException", "The conditional request failed")
    assert OPERATIONS[operation][1](cache_at_edge) is False
    assert len(edge.seen) == 1


@pytest.mark.processes
def test_conditions_that_fail_for_ever(cache_at_edge: DynamoDBTokenCache, edge: Edge) -> None:
    """increment raises CacheUnavailable after a few requests if it can neither update nor start the counter."""
    edge.fail("ConditionalCheckFailedException")
    with pytest.raises(CacheUnavailable, match="kept changing the counter"):
        cache_at_edge.increment("key", 60)
    assert (edge.count("UpdateItem"), edge.count("PutItem")) == (4, 4)


@pytest.mark.processes
def test_throttling_in_the_middle_of_an_increment(cache_at_edge: DynamoDBTokenCache, edge: Edge) -> None:
    """If the update finds no counter and the put is throttled, increment raises CacheUnavailable."""
    edge.fail("ThrottlingException", only="PutItem")
    with pytest.raises(CacheUnavailable, match="PutItem: ThrottlingException"):
        cache_at_edge.increment("a new counter", 60)


@pytest.mark.processes
@pytest.mark.parametrize("operation", ["get", "set", "delete"])
def test_a_failed_condition_that_was_not_sent(cache_at_edge: DynamoDBTokenCache, edge: Edge, operation: str) -> None:
    """A failed condition without a condition in the request raises CacheUnavailable."""
    edge.fail("ConditionalCheckFailedException")
    with pytest.raises(CacheUnavailable, match="ConditionalCheckFailedException"):
        OPERATIONS[operation][1](cache_at_edge)


@pytest.mark.processes
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_role_that_may_not(cache_at_edge: DynamoDBTokenCache, edge: Edge, operation: str) -> None:
    """The error for AccessDenied names the missing IAM action."""
    action, operate = OPERATIONS[operation]
    edge.fail("AccessDeniedException")
    with pytest.raises(CacheUnavailable, match=f"Fix: allow the action dynamodb:{action} on this table"):
        operate(cache_at_edge)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("ResourceNotFoundException", 400, r"no such table.*create_table\(\)"),
        ("UnrecognizedClientException", 400, "AWS credentials"),
        ("ExpiredTokenException", 400, "AWS credentials"),
        ("InternalServerError", 500, "InternalServerError"),
        ("ServiceUnavailable", 503, "ServiceUnavailable"),
    ],
)
def test_other_errors(cache_at_edge: DynamoDBTokenCache, edge: Edge, code: str, status: int, said: str) -> None:
    """Every other error says what, where and, if known, the fix, after one request."""
    edge.fail(code, status=status)
    with pytest.raises(CacheUnavailable, match=f"table 'tokens' .{edge.endpoint}.: PutItem: .*{said}"):
        cache_at_edge.add("key", b"value", 60)
    assert len(edge.seen) == 1


@pytest.mark.processes
def test_the_servers_message_is_not_repeated(cache_at_edge: DynamoDBTokenCache, edge: Edge) -> None:
    """A signature error quotes the session token; neither the error nor its traceback contains it."""
    quoted = f"The Canonical String should have been 'x-amz-security-token:{SECRETS['AWS_SESSION_TOKEN']}'"
    edge.fail("InvalidSignatureException", quoted)
    with pytest.raises(CacheUnavailable, match="AWS credentials") as caught:
        cache_at_edge.get("key")
    shown = "".join(traceback.format_exception(caught.value)) + repr(cache_at_edge) + repr(caught.value)
    assert "Canonical" not in shown
    assert not [name for name, value in SECRETS.items() if len(value) > 5 and value in shown]


def item(key: str, **attributes: object) -> bytes:
    """A GetItem answer."""
    return json.dumps({"Item": {"key": {"S": key}, "expires_at": {"N": "99999999999"}, **attributes}}).encode()


def result(operation: Callable[[], object]) -> object:
    """The result of an operation, or its CacheUnavailable."""
    try:
        return operation()
    except CacheUnavailable as error:
        return error


@pytest.mark.processes
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>a captive portal</html>",
        b'{"Item": ',
        b'{"Item": {"key": {"S": "key"}, "expires_at": {"N": "many"}}}',
        b'{"Item": {"key": {}}}',
        b'{"Item": 1}',
        b"[]",
        item("key", count={"N": "Infinity"}),
    ],
    ids=["nothing", "html", "cut off", "odd number", "no type", "no item", "a list", "infinity"],
)
def test_odd_answers(cache_at_edge: DynamoDBTokenCache, edge: Edge, body: bytes) -> None:
    """For any invalid body with status 200, get is a miss or raises CacheUnavailable."""
    edge.answer(body)
    found = result(lambda: cache_at_edge.get("key"))
    assert found is None or isinstance(found, CacheUnavailable)
    edge.recover()
    cache_at_edge.set("key", b"value", 60)
    assert cache_at_edge.get("key") == b"value"


@pytest.mark.processes
def test_the_answer_to_another_request(cache_at_edge: DynamoDBTokenCache, edge: Edge) -> None:
    """An answer for another key, from a proxy that mixes up answers, raises CacheUnavailable."""
    edge.answer(item("another", value={"B": "eA=="}))
    with pytest.raises(CacheUnavailable, match="AnotherKey: the answer is for another key"):
        cache_at_edge.get("key")


@pytest.mark.processes
@pytest.mark.parametrize("size", [0, 5, 40, 300, 700])
def test_answers_that_are_cut_off(
    proxy: FaultProxy, behind: DynamoDBTokenCache, cache: DynamoDBTokenCache, size: int
) -> None:
    """With damaged answers, get returns a whole value or none, and add is True only for the owner.

    http.client takes the end of a connection for the end of the headers, so an answer may have lost its body there;
    but its status came, and a refused condition has another one than a success.
    """
    key = secrets.token_hex(16)
    cache.set(key, b"value" * 100, 60)
    proxy.truncate(size)
    found = result(lambda: behind.get(key))
    assert found is None or isinstance(found, CacheUnavailable)
    assert result(lambda: behind.add(key, b"owner", 60)) is not True
    assert result(lambda: behind.delete_if(key, b"owner")) is not True
    count = result(lambda: behind.increment("n" + key, 60))
    assert isinstance(count, CacheUnavailable) or cache.get("n" + key) == str(count).encode()
    if result(lambda: behind.add("l" + key, b"owner", 60)) is True:
        assert cache.get("l" + key) == b"owner"


@pytest.mark.processes
@pytest.mark.parametrize("body", [b"{}", b'{"Attributes": {}}', b'{"Attributes": {"count": {"S": "one"}}}'])
def test_odd_counts(cache_at_edge: DynamoDBTokenCache, edge: Edge, body: bytes) -> None:
    """An answer to an update without a count raises CacheUnavailable."""
    edge.answer(body)
    with pytest.raises(CacheUnavailable, match="UpdateItem"):
        cache_at_edge.increment("key", 60)


@pytest.mark.processes
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", ["refuse", "reset", "delay", "half_open", "black_hole"])
def test_a_network_that_fails(proxy: FaultProxy, behind: DynamoDBTokenCache, fault: str, operation: str) -> None:
    """Each operation raises CacheUnavailable in time, after one attempt; after the fault the next one works."""
    requests, connections = proxy.requests, proxy.connections
    getattr(proxy, fault)()
    start = time.monotonic()
    with pytest.raises(CacheUnavailable, match=f"table 'tokens' .http://{proxy.address}.: "):
        OPERATIONS[operation][1](behind)
    assert time.monotonic() - start < TIMEOUT, "the deadline is 0.3 s to connect and 0.3 s to answer"
    assert proxy.requests - requests <= 1, "no request is sent twice"
    assert proxy.connections - connections <= 1
    proxy.recover()
    patient = open_cache(f"http://{proxy.address}", TABLE)
    patient.set("afterwards", b"value", 60)
    assert patient.get("afterwards") == b"value"
    patient.close()


@pytest.mark.processes
def test_a_server_that_comes_back() -> None:
    """A stopped server raises CacheUnavailable; after a restart on its port the same cache works."""
    with start_dynamodb() as store:
        cache = open_cache(f"http://{store.address}", TABLE)
        cache.create_table()
        cache.set("key", b"value", 60)
        store.stop()
        with pytest.raises(CacheUnavailable, match="table 'tokens'"):
            cache.get("key")
        store.start()
        cache.create_table()
        cache.set("key", b"value", 60)
        assert cache.get("key") == b"value"
        cache.close()


@pytest.mark.processes
def test_connections_of_a_frozen_instance(proxy: FaultProxy) -> None:
    """A connection that was idle for too long is replaced; a younger one is used again."""
    jump = 0.0
    cache = open_cache(f"http://{proxy.address}", TABLE, clock=lambda: time.time() + jump)
    for expected, pause in ((1, 0.0), (1, 10.0), (2, 3600.0), (2, 0.0), (3, -7200.0)):
        jump += pause
        cache.get("key")
        assert proxy.connections == expected, f"after a pause of {pause} s"
    cache.close()


@pytest.mark.processes
def test_no_credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AWS credentials the error says how to provide them."""
    for name in SECRETS:
        monkeypatch.delenv(name)
    cache = open_cache(endpoint, TABLE)
    with pytest.raises(CacheUnavailable, match=r"NoCredentialsError: there are no AWS credentials. Fix: .*a role"):
        cache.get("key")
    cache.close()


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region the error names the option and the variable."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(CacheUnavailable, match=r"the default region.: GetItem: NoRegionError: Fix: pass region="):
        DynamoDBTokenCache(TABLE).get("key")


@pytest.mark.processes
@pytest.mark.parametrize("code", THROTTLED)
def test_no_call_fails_for_a_throttled_table(edge: Edge, cache_at_edge: DynamoDBTokenCache, code: str) -> None:
    """A throttled lease is not "held": the source mints at once and waits for no other process."""
    edge.fail(code)
    events: list[Event] = []
    with FakeAuthorizationServer() as server:
        source = TokenSource(server.token_endpoint, "client", "secret", cache=cache_at_edge, on_event=events.append)
        start = time.monotonic()
        assert source.token().value
        assert time.monotonic() - start < 10, "it waited for a lease"
        source.close()
        assert server.mints == 1
    assert "cache_fault" in [event.kind for event in events]


@pytest.mark.loopback
def test_a_closed_port(credentials: None) -> None:
    """A refused connection raises CacheUnavailable at once."""
    cache = open_cache(f"http://127.0.0.1:{free_port()}", TABLE)
    with pytest.raises(CacheUnavailable, match="EndpointConnectionError"):
        cache.get("key")
    cache.close()
