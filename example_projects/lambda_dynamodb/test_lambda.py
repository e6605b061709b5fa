"""Cold starts, a stampede of them, frozen instances and the bill: real processes, DynamoDB played by ministack."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import measure
import pytest
from real_servers.stores import Store, start_dynamodb
from rehearsal import Instance, create_table, environment

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Store]:
    """A server with the table."""
    with start_dynamodb() as store:
        yield store


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """The authorization server and the API behind it. Its port is new, so each test has its own token."""
    with FakeAuthorizationServer() as server:
        yield server


@pytest.fixture
def settings(server: FakeAuthorizationServer, dynamodb: Store) -> dict[str, str]:
    """The function's configuration. The table exists."""
    settings = environment(server, f"http://{dynamodb.address}")
    create_table(settings)
    return settings


def test_create_table_twice(settings: dict[str, str]) -> None:
    """The script names the table that is ready, also if it existed before."""
    assert create_table(settings).startswith("DynamoDBTokenCache('m2m-tokens', ")


@pytest.mark.slow
def test_twenty_cold_starts_one_after_the_other(server: FakeAuthorizationServer, settings: dict[str, str]) -> None:
    """Each instance is a new, short process: the first mints, the others find its token in the table."""
    for _ in range(20):
        with Instance(settings) as instance:
            assert instance.invoke()["statusCode"] == 200
    assert (server.mints, server.token_requests) == (1, 1)
    assert [call.status for call in server.api_calls] == [200] * 20
    assert len({call.token for call in server.api_calls}) == 1


@pytest.mark.slow
def test_eight_cold_starts_at_once(server: FakeAuthorizationServer, settings: dict[str, str]) -> None:
    """A burst of events on an empty table: one instance mints, and the other seven wait for its token."""
    server.latency = 0.5
    with ExitStack() as stack:
        instances = [Instance(settings) for _ in range(8)]
        for instance in instances:
            stack.callback(instance.end)
        for instance in instances:
            instance.wait_until_up()
        for instance in instances:
            instance.send({})
        assert [instance.answer().get("statusCode") for instance in instances] == [200] * 8
    assert (server.mints, server.token_requests) == (1, 1)
    assert len({call.token for call in server.api_calls}) == 1


def test_a_frozen_instance_wakes_after_the_end(server: FakeAuthorizationServer, settings: dict[str, str]) -> None:
    """An instance that was frozen past its token's end renews before its next call: the API gets no expired token."""
    server.lifetime = 3
    with Instance(settings) as instance:
        assert instance.invoke()["statusCode"] == 200
        instance.freeze()
        time.sleep(3.2)
        server.lifetime = 3600
        instance.thaw()
        assert instance.invoke()["statusCode"] == 200
    assert server.mints == 2
    assert [call.status for call in server.api_calls] == [200, 200]


def test_a_frozen_instance_finds_anothers_token(server: FakeAuthorizationServer, settings: dict[str, str]) -> None:
    """The instance that wakes takes the token that another one has minted from the table, and mints none."""
    server.lifetime = 3
    with Instance(settings) as sleeper, Instance(settings) as other:
        assert sleeper.invoke()["statusCode"] == 200
        sleeper.freeze()
        time.sleep(3.2)
        server.lifetime = 3600
        assert other.invoke()["statusCode"] == 200
        sleeper.thaw()
        assert sleeper.invoke()["statusCode"] == 200
    assert server.mints == 2
    first, *later = [call.token for call in server.api_calls]
    assert later[0] == later[1] != first
    assert [call.status for call in server.api_calls] == [200] * 3


@pytest.mark.slow
def test_the_bill() -> None:
    """Today's measurement gives the README's figures: warm invocations cost nothing, a cold start one read."""
    costs = measure.measure()
    readme = Path(__file__).with_name("README.md").read_text("utf-8")
    rows = [*costs, measure.per_thousand(costs, 10), measure.per_thousand(costs, 100)]
    assert [cost.row() for cost in rows if cost.row() not in readme] == []
    assert costs[-1] == ("100 warm invocations", 0, 0, 0)
