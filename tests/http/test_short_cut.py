"""The short cut of a call whose token is fresh and goes where the latest one went; it decides as the steps do."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from typing import Any

import pytest

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.http.auth_flow import AuthFlow
from m2m_auth.http.calls import watch_calls
from m2m_auth.oauth2.transport import HttpResponse
from m2m_auth.testing import FakeClock

GRANT = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'
API = "https://api.example.com/things"


class Attached:
    """One front door whose requests are prepared and not sent."""

    def __init__(self, name: str, **options: Any) -> None:
        self.library = pytest.importorskip(name)
        self.auth = import_module(f"m2m_auth.{name}").M2MAuth(
            "https://as.example/token",
            "client",
            "secret",
            cache=MemoryTokenCache(),
            **{"transport": lambda _: HttpResponse(200, {}, GRANT), **options},
        )

    def __call__(self, url: str = API) -> str:
        """The header that a request to ``url`` gets."""
        if self.library.__name__ == "requests":
            return str(self.library.Request("GET", url, auth=self.auth).prepare().headers["Authorization"])
        request = self.library.Request("GET", url)
        flow = self.auth.sync_auth_flow(request)
        next(flow)
        flow.close()
        return str(request.headers["Authorization"])


@pytest.fixture(params=["requests", "httpx"])
def name(request: pytest.FixtureRequest) -> str:
    """The two front doors that have a short cut; httpx2 shares httpx's."""
    return str(request.param)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs for which the steps attached the token."""
    taken: list[str] = []
    attach: Callable[..., Any] = AuthFlow.attach

    def counted(self: AuthFlow, request: Any) -> Any:
        taken.append(str(request.url))
        return attach(self, request)

    monkeypatch.setattr(AuthFlow, "attach", counted)
    return taken


def test_the_steps_run_once_for_each_change_of_origin(name: str, steps: list[str]) -> None:
    """Calls to the origin of the latest call take the short cut; a call to another one does not."""
    attached = Attached(name)
    other = "https://other.example/"
    urls = [API, API, API + "?page=2", "https://api.example.com/", other, other, API]
    assert {attached(url) for url in urls} == {"Bearer t"}
    assert steps == [API, other, API]


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_the_short_cut_ends_with_the_tokens_freshness(
    name: str, steps: list[str], clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either clock ends it: the wall clock alone notices a suspended machine. Both are read by attribute."""
    attached = Attached(name)
    attached()
    attached()
    assert len(steps) == 1
    read = getattr(time, clock)
    monkeypatch.setattr(time, clock, lambda: read() + 3601)
    attached()
    assert len(steps) == 2


def test_a_replaced_token_is_attached_at_once(name: str, steps: list[str]) -> None:
    """The short cut reads the held token at each call; without one, the steps get another."""
    attached = Attached(name)
    attached()
    attached.auth._engine.state.held = None
    assert attached() == "Bearer t"
    assert len(steps) == 2


def test_a_clock_of_the_users_has_no_short_cut(name: str, steps: list[str]) -> None:
    """The short cut reads the system's clocks, so a source with another clock does not take it."""
    clock = FakeClock()
    attached = Attached(name, clock=clock)
    for _ in range(3):
        assert attached() == "Bearer t"
        clock.advance(4000)
    assert len(steps) == 3


def test_an_observer_sees_calls_of_the_short_cut(name: str) -> None:
    """Also a call that takes the short cut is shown; for httpx the steps take over while there is an observer."""
    attached = Attached(name)
    attached()
    seen: list[Any] = []
    library = attached.library
    with watch_calls(seen.append):
        if name == "requests":
            prepared = library.Request("GET", API, auth=attached.auth).prepare()
            response = library.Response()
            response.status_code, response.request = 200, prepared
            prepared.hooks["response"][0](response)
        else:
            transport = library.MockTransport(lambda _: library.Response(200))
            with library.Client(transport=transport, auth=attached.auth) as client:
                client.get(API)
    assert [(call.method, call.url, call.status) for call in seen] == [("GET", API, 200)]


def test_a_refusal_after_the_short_cut_is_replayed(name: str, steps: list[str]) -> None:
    """The answer to a call of the short cut is judged as any other; the replay carries the renewed token."""
    attached = Attached(name, transport=grants())
    attached()
    library, auth = attached.library, attached.auth
    seen: list[str] = []

    def status(request: Any) -> int:
        seen.append(request.headers["Authorization"])
        if len(seen) == 1:
            auth.source.renew()  # another caller has renewed the token meanwhile
        return 401 if len(seen) == 1 else 200

    if name == "requests":

        class InMemory(library.adapters.BaseAdapter):  # type: ignore[name-defined, misc]
            """Answers without a network."""

            def send(self, request: Any, **options: Any) -> Any:
                """The answer."""
                response = library.Response()
                response.status_code, response.request, response.url = status(request), request, request.url
                response._content, response.raw, response.connection = b"", BytesIO(), self
                return response

            def close(self) -> None:
                """Holds nothing."""

        with library.Session() as session:
            session.mount("https://", InMemory())
            session.auth = auth
            answer = session.get(API)
    else:
        transport = library.MockTransport(lambda request: library.Response(status(request)))
        with library.Client(transport=transport, auth=auth) as client:
            answer = client.get(API)
    assert (answer.status_code, [each.status_code for each in answer.history]) == (200, [401])
    assert seen == ["Bearer t1", "Bearer t2"]
    assert steps == [API]


def grants() -> Callable[[Any], HttpResponse]:
    """A token endpoint whose n-th token is tn."""
    numbers = itertools.count(1)
    return lambda _: HttpResponse(
        200, {}, b'{"access_token": "t%d", "token_type": "Bearer", "expires_in": 3600}' % next(numbers)
    )
