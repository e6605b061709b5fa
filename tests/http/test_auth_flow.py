"""The steps of a call, driven by hand: without a socket, for a library that is made of plain objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any

import anyio
import pytest

from m2m_auth import AccessToken, InsecureTransport, OriginNotAllowed, TokenSource, TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import M2MAuthError, also_a
from m2m_auth.http.auth_flow import AuthFlow, Sent
from m2m_auth.http.http_library import HttpLibrary
from m2m_auth.http.steps import Effect, adrive, drive, run
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.testing import FakeClock

URL = "https://api.example/things"


class Request:
    """A request of the toy library; ``body`` is None once it is used up."""

    def __init__(self, url: str = URL, body: str | None = "body") -> None:
        self.url = url
        self.method = "POST"
        self.body = body
        self.headers: dict[str, str] = {}


class Response:
    """A response of the toy library."""

    def __init__(self, request: Request, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.request = request
        self.status = status
        self.headers = headers or {}
        self.closed = ""


class ToyError(Exception):
    """The toy library's base error."""


class ToyLibrary(HttpLibrary):
    """What a new front door has to write, and nothing more."""

    name = "toy"

    def own_error(self, error: M2MAuthError, request: Request) -> M2MAuthError:
        """As in every front door."""
        return also_a(error, ToyError, request=request)

    def site(self, request: Request) -> str:
        """The URL without its path."""
        return "/".join(request.url.split("/")[:3])

    def target(self, request: Request) -> str:
        """The URL."""
        return request.url

    def start_of_body(self, request: Request) -> int | None:
        """Its length, so that a test sees it again."""
        return len(request.body or "")

    def status(self, response: Response) -> int:
        """The status."""
        return response.status

    def read(self, response: Response) -> tuple[Mapping[str, str], Request]:
        """The headers and the request."""
        return response.headers, response.request

    def replay(self, response: Response, start: int | None) -> Request | None:
        """A copy, if the body is still there."""
        sent = response.request
        if sent.body is None or start != len(sent.body):
            return None
        copy = Request(sent.url, sent.body)
        copy.headers = dict(sent.headers)
        return copy

    def set_cookies(self, response: Response) -> list[str]:
        """One at most."""
        return [response.headers["Set-Cookie"]] if "Set-Cookie" in response.headers else []

    def body(self, response: Response, *, streams: bool) -> bytes:
        """It says whether the caller streams."""
        return b"streams" if streams else b"whole"

    def close(self, response: Response) -> None:
        """Marks it."""
        response.closed = "close"

    async def aclose(self, response: Response) -> None:
        """Marks it."""
        response.closed = "aclose"

    def followed(self, response: Response) -> tuple[()]:
        """It follows no redirects."""
        return ()

    def elapsed(self, response: Response) -> float:
        """Not measured."""
        return 0.0


class World:
    """A source whose server grants t1, t2, …, and a flow over it."""

    def __init__(self, is_rejection: Callable[[int, Mapping[str, str]], bool] | None = None, **options: Any) -> None:
        self.minted = 0
        self.down = False
        self.clock = FakeClock()
        self.source = TokenSource(
            "https://as.example/token",
            "client",
            "secret",
            transport=self.answer,
            cache=MemoryTokenCache(),
            clock=self.clock,
        )
        self.flow = AuthFlow(
            self.source,
            ToyLibrary(),
            options.get("allowed_origins"),
            options.get("allow_insecure_http", False),
            is_rejection,
        )

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The token endpoint."""
        if self.down:
            return HttpResponse(500, {}, b"")
        self.minted += 1
        return HttpResponse(
            200, {}, b'{"access_token": "t%d", "token_type": "Bearer", "expires_in": 3600}' % self.minted
        )

    def held(self) -> AccessToken:
        """A token that is old enough to be replaced when an API refuses it."""
        token = self.source.token()
        self.clock.advance(60)
        return token


def after_the_call(world: World, request: Request) -> Generator[Any, Any, Any]:
    """Drives the steps until the request is to be sent, and returns them."""
    steps = world.flow.steps(request)
    need = next(steps)
    assert isinstance(need, Effect)
    assert steps.send(need.run()) is request
    return steps


def test_the_steps_of_a_refused_call() -> None:
    """Token, request, token, close, replay: in this order, and the steps return the second response."""
    world = World()
    world.held()
    request = Request()
    steps = after_the_call(world, request)
    assert request.headers == {"Authorization": "Bearer t1"}
    first = Response(request, 401)
    need = steps.send(first)
    close = steps.send(need.run())
    assert (first.closed, close.run(), first.closed) == ("", None, "close")
    replay = steps.send(None)
    assert (replay.headers, replay.body) == ({"Authorization": "Bearer t2"}, "body")
    second = Response(replay, 200)
    with pytest.raises(StopIteration) as end:
        steps.send(second)
    assert end.value.value is second
    assert world.minted == 2


@pytest.mark.parametrize("status", [200, 302, 400, 403, 500])
def test_only_a_401_is_judged(status: int) -> None:
    """By RFC 6750's rule no other status refuses a token; the response is returned as it is."""
    world = World()
    world.held()
    steps = after_the_call(world, request := Request())
    with pytest.raises(StopIteration) as end:
        steps.send(response := Response(request, status))
    assert end.value.value is response
    assert world.source.token().value == "t1"


def test_the_users_rule_sees_every_status() -> None:
    """The user's rule is called for every response, and its result counts."""
    seen: list[int] = []
    world = World(lambda status, headers: bool(seen.append(status)) or headers.get("X-Bad") == "yes")
    world.held()
    steps = after_the_call(world, request := Request())
    assert isinstance(steps.send(Response(request, 200, {"X-Bad": "yes"})), Effect)
    assert seen == [200]
    steps = after_the_call(world, request := Request())
    with pytest.raises(StopIteration):
        steps.send(Response(request, 401))
    assert seen == [200, 401]


def test_a_response_from_elsewhere_refuses_nothing() -> None:
    """Another origin, or a request with another header: no rejection, no replay."""
    world = World()
    token = world.held()
    for url, header in (("https://evil.example/", token.authorization), (URL, "Bearer mine"), (URL, None)):
        steps = after_the_call(world, Request())
        other = Request(url)
        other.headers = {} if header is None else {"Authorization": header}
        with pytest.raises(StopIteration):
            steps.send(Response(other, 401))
    assert (world.source.token(), world.minted) == (token, 1)


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    """The caller gets the 401, still open, and the next call gets a new token."""
    world = World()
    world.held()
    steps = after_the_call(world, request := Request())
    request.body = None
    with pytest.raises(StopIteration) as end:
        steps.send(response := Response(request, 401))
    assert (end.value.value, response.closed) == (response, "")
    assert world.source.token().value == "t2"


def test_without_another_token_the_401_stands() -> None:
    """The token request fails after the rejection: no replay, and the 401 is not closed."""
    world = World()
    world.held()
    steps = after_the_call(world, request := Request())
    world.down = True
    need = steps.send(response := Response(request, 401))
    with pytest.raises(StopIteration) as end:
        steps.send(need.run())
    assert (end.value.value, response.closed) == (response, "")


def test_the_same_token_is_not_sent_twice() -> None:
    """While forced mints are banned a refused token is kept, so a replay would carry what was just refused."""
    world = World()
    run(world.flow.steps(Request()), lambda request: Response(request, 401))
    assert world.minted == 2
    steps = after_the_call(world, request := Request())
    need = steps.send(Response(request, 401))
    with pytest.raises(StopIteration):
        steps.send(need.run())
    assert world.minted == 2


def test_a_refused_replay_is_judged_and_not_replayed() -> None:
    """Two refusals end the call: a new token did not help, so forced mints are banned."""
    world = World()
    world.held()
    statuses: list[int] = []

    def send(request: Request) -> Response:
        statuses.append(401)
        return Response(request, 401)

    answer = run(world.flow.steps(Request()), send)
    assert (answer.status, statuses, world.minted) == (401, [401, 401], 2)
    world.clock.advance(30)
    run(world.flow.steps(Request()), send)
    assert (len(statuses), world.minted) == (3, 2)


def test_a_slow_replay_that_is_refused_ends_the_call_too() -> None:
    """The API takes 6 s to refuse the second token: the ban begins all the same, and the next call has no third one."""
    world = World()
    world.held()
    sent: list[str] = []

    def send(request: Request) -> Response:
        sent.append(request.headers["Authorization"])
        world.clock.advance(6)
        return Response(request, 401)

    answer = run(world.flow.steps(Request()), send)
    assert (answer.status, sent, world.minted) == (401, ["Bearer t1", "Bearer t2"], 2)
    run(world.flow.steps(Request()), send)
    assert sent[2:] == ["Bearer t2"]


@pytest.mark.parametrize("recent", [0, 1, 2, 8, 9])
def test_a_hook_finds_the_token_by_its_header(recent: int) -> None:
    """``answer`` without the token: the held one and the eight before it are known; older ones are not."""
    world = World()
    request = Request()
    sent = run(world.flow.attach(request))
    for _ in range(recent):
        world.clock.advance(60)
        world.source.renew()
    world.clock.advance(60)
    answer = run(
        world.flow.answer(Response(request, 401), Sent(sent.origin, None, sent.start, None)),
        lambda replay: Response(replay, 200),
    )
    assert answer.status == (401 if recent == 9 else 200)
    assert world.minted == max(recent + 1, 2), "a token that was replaced meanwhile costs no mint"


def test_a_forbidden_origin_causes_no_token_request() -> None:
    """The origin is checked before a token is needed, at every call."""
    world = World(allowed_origins=["https://api.example"])
    run(world.flow.attach(Request()))
    for _ in range(2):
        for url, error in (("https://evil.example/", OriginNotAllowed), ("https://api.example:444/", OriginNotAllowed)):
            with pytest.raises(error):
                next(world.flow.steps(Request(url)))
    with pytest.raises(InsecureTransport):
        next(World().flow.steps(Request("http://api.example/")))


def test_no_token_is_the_librarys_error_too() -> None:
    """It carries the request, and the request is not sent."""
    world = World()
    world.down = True
    request = Request()
    with pytest.raises(ToyError) as caught:
        run(world.flow.steps(request), lambda _: pytest.fail("sent"))
    assert isinstance(caught.value, TokenUnavailable)
    assert vars(caught.value)["request"] is request
    assert caught.value.__context__ is None


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_asynchronous_driver_awaits_the_same_steps(backend: str) -> None:
    """``adrive`` yields what ``drive`` yields, closes with ``aclose``, and never calls the blocking ``token()``."""
    world = World()
    world.held()

    async def call() -> list[Any]:
        requests = adrive(world.flow.steps(Request()))
        first = Response(await anext(requests), 401)
        replay = await requests.asend(first)
        with pytest.raises(StopAsyncIteration):
            await requests.asend(Response(replay, 200))
        return [first.closed, replay.headers["Authorization"]]

    assert anyio.run(call, backend=backend) == ["aclose", "Bearer t2"]
    generator = drive(world.flow.steps(Request()))
    assert generator.send(None).headers["Authorization"] == "Bearer t2"
    generator.close()


def test_a_middleware_fits() -> None:
    """A library with an asynchronous middleware needs five lines: effects are awaited, requests go to the handler."""
    world = World()
    world.held()
    statuses = [401, 200]

    async def middleware(request: Request, handler: Callable[[Request], Any]) -> Response:
        """The front door."""
        steps, outcome = world.flow.steps(request), None
        try:
            while True:
                step = steps.send(outcome)
                outcome = await (step.arun() if isinstance(step, Effect) else handler(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def handler(request: Request) -> Response:
        """The library's own sending."""
        await anyio.sleep(0)
        return Response(request, statuses.pop(0))

    answer = anyio.run(middleware, Request(), handler)
    assert (answer.status, answer.request.headers["Authorization"], statuses) == (200, "Bearer t2", [])


def test_steps_that_are_given_up_hold_nothing() -> None:
    """A caller that is cancelled after each step leaves a source that works for the next call."""
    world = World()
    world.held()
    for stop in range(4):
        steps, outcome = world.flow.steps(Request()), None
        for _ in range(stop):
            step = steps.send(outcome)
            outcome = step.run() if isinstance(step, Effect) else Response(step, 401)
        steps.close()
        assert inspect.getgeneratorstate(steps) == inspect.GEN_CLOSED
    assert run(world.flow.steps(Request()), lambda request: Response(request, 200)).status == 200
