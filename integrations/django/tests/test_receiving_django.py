"""``M2MBearerMiddleware`` and ``@require_m2m`` on Django views, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django_m2m_auth.receiving import M2MBearerMiddleware, receiving_verifier, require_m2m
from issuer import AUDIENCE, Issuer
from live import serving
from receiving_contract import ReceivingContract

from m2m_auth.errors import ConfigurationError
from m2m_auth.verifier import InvalidToken, VerifiedToken

MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware", "django_m2m_auth.receiving.M2MBearerMiddleware"]


class Own:
    """A verifier that counts. Every token except "bad" is good, and is the client's id."""

    def __init__(self) -> None:
        self.verified: list[str] = []

    def verify(self, token: str) -> VerifiedToken:
        """Counts, and returns the token's facts."""
        self.verified.append(token)
        if token == "bad":
            raise InvalidToken("The token is bad.")
        return VerifiedToken(client_id=token, scopes=frozenset({"read"}), claims={})


def seen(request: Any) -> JsonResponse:
    """A view that answers the facts about its caller."""
    return JsonResponse({"client": request.m2m.client_id, "scopes": sorted(request.m2m.scopes)})


async def seen_async(request: Any) -> JsonResponse:
    """The same in an async view."""
    return seen(request)


def who(request: Any) -> HttpResponse:
    """A view without a requirement. It answers which service calls."""
    return HttpResponse("no service" if request.m2m is None else request.m2m.client_id)


async def who_async(request: Any) -> HttpResponse:
    """The same in an async view."""
    return who(request)


@method_decorator(require_m2m(scope="read"), name="dispatch")
class Order(View):
    """A class-based view with a path argument."""

    def post(self, request: Any, number: int) -> HttpResponse:
        """Answers who orders what."""
        return HttpResponse(f"{request.m2m.client_id} orders {number}")


urlpatterns = [
    path("read", require_m2m(scope="read")(seen)),
    path("admin", require_m2m(scope="read admin")(seen)),
    path("other", require_m2m(audience="other")(seen)),
    path("bare", require_m2m(seen)),
    path("async", require_m2m(scope=["read"])(seen_async)),
    path("who", who),
    path("who-async", who_async),
    path("orders/<int:number>", Order.as_view()),
]


@contextmanager
def project(receiving: Any, middleware: list[str] = MIDDLEWARE) -> Iterator[None]:
    """The views of this file, with these settings."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, M2M_AUTH={"RECEIVING": receiving}):
        yield


@pytest.mark.loopback
class TestReceivingOverTheWire(ReceivingContract):
    """The contract, on a real port, with the middleware and CSRF checks."""

    @contextmanager
    def serve(self, receiving: Any) -> Iterator[str]:
        """The project on a port."""
        with project(receiving), serving(WSGIHandler()) as url:
            yield url


@pytest.mark.loopback
class TestReceivingWithoutMiddleware(ReceivingContract):
    """The contract again: the decorator needs no middleware."""

    @contextmanager
    def serve(self, receiving: Any) -> Iterator[str]:
        """The project on a port."""
        with project(receiving, MIDDLEWARE[:1]), serving(WSGIHandler()) as url:
            yield url


@pytest.mark.parametrize("view", ["who", "who-async"])
@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "no service"),
        ({"Authorization": "Bearer bad"}, "no service"),
        ({"Authorization": "Bearer a b"}, "no service"),
        ({"Authorization": "Basic YTpi"}, "no service"),
        ({"Authorization": "Bearer shop"}, "shop"),
    ],
)
def test_a_view_without_a_requirement(view: str, headers: dict[str, str], client: str) -> None:
    """``request.m2m`` is None without a good token; a view without a requirement refuses no call; sync and async."""
    with project(Own()):
        assert Client().get(f"/{view}", headers=headers).content.decode() == client
        answer = asyncio.run(AsyncClient().get(f"/{view}", headers=headers))
        assert answer.content.decode() == client


@pytest.mark.parametrize("view", ["read", "async"])
def test_a_token_is_verified_once(view: str) -> None:
    """The decorator uses the middleware's result, good or bad."""
    own = Own()
    with project(own):
        assert Client().get(f"/{view}", headers={"Authorization": "Bearer shop"}).status_code == 200
        assert Client().get(f"/{view}", headers={"Authorization": "Bearer bad"}).status_code == 401
        assert asyncio.run(AsyncClient().get(f"/{view}", headers={"Authorization": "Bearer x"})).status_code == 200
    assert own.verified == ["shop", "bad", "x"]


def test_one_middleware_class_for_both() -> None:
    """The middleware is a coroutine function around an async application, and not around a sync one."""

    async def async_response(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert iscoroutinefunction(M2MBearerMiddleware(async_response))
    assert not iscoroutinefunction(M2MBearerMiddleware(lambda request: HttpResponse()))
    assert M2MBearerMiddleware.sync_capable
    assert M2MBearerMiddleware.async_capable


@pytest.mark.loopback
@pytest.mark.parametrize("middleware", [MIDDLEWARE, MIDDLEWARE[:1]], ids=["middleware", "decorator only"])
def test_the_event_loop_goes_on_while_keys_are_fetched(middleware: list[str]) -> None:
    """While the issuer hangs, another request of the same loop is answered; then the issuer answers."""

    async def both(issuer: Issuer) -> list[int]:
        issuer.open.clear()
        headers = {"Authorization": f"Bearer {issuer.token()}"}
        waiting = asyncio.create_task(AsyncClient().get("/async", headers=headers))
        while not issuer.asked:
            await asyncio.sleep(0.001)
        other = await AsyncClient().get("/async")
        assert not waiting.done()
        issuer.open.set()
        return [other.status_code, (await waiting).status_code]

    with Issuer() as issuer, project({"ISSUER": issuer.issuer, "AUDIENCE": AUDIENCE}, middleware):
        assert asyncio.run(asyncio.wait_for(both(issuer), 30)) == [401, 200]


def test_class_based_views_and_csrf() -> None:
    """``method_decorator`` on ``dispatch``; services need no CSRF token; calls without a good token are refused."""
    with project(Own()):
        client = Client(enforce_csrf_checks=True)
        answer = client.post("/orders/7", headers={"Authorization": "Bearer shop"})
        assert (answer.status_code, answer.content) == (200, b"shop orders 7")
        assert client.post("/orders/7").status_code == 401


def test_a_decorated_view_stays_what_it_is() -> None:
    """An async view stays async, and a view keeps its name."""
    assert iscoroutinefunction(require_m2m(seen_async))
    assert not iscoroutinefunction(require_m2m(seen))
    assert require_m2m(scope="read")(seen).__name__ == "seen"


def test_settings_are_read_again_when_they_change() -> None:
    """``override_settings`` takes effect at once; unchanged settings keep their verifier with its keys."""
    with project({"ISSUER": "https://one.example", "AUDIENCE": "api"}):
        one = receiving_verifier()
        assert receiving_verifier() is one
        with project({"ISSUER": "https://two.example", "AUDIENCE": "api"}):
            assert repr(receiving_verifier()) == "<JWTVerifier of https://two.example>"


@pytest.mark.parametrize("receiving", [None, {"ISSUER": "https://tenant.example"}, {"ISSUER": "x", "AUDIENCE": "y"}])
@pytest.mark.parametrize("view", ["read", "async"])
def test_wrong_settings_admit_no_call(receiving: Any, view: str) -> None:
    """ImproperlyConfigured at first use, naming the setting: checks do not run under WSGI."""
    with project(receiving), pytest.raises(ImproperlyConfigured, match="RECEIVING"):
        Client().get(f"/{view}", headers={"Authorization": "Bearer a"})
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        answer = Client(raise_request_exception=False).get(f"/{view}", headers={"Authorization": "Bearer a"})
        assert answer.status_code == 500


def test_a_scope_that_cannot_be_one_is_found_at_import() -> None:
    """A mistake in the decorator is an error before any call."""
    with pytest.raises(ConfigurationError, match="scope"):
        require_m2m(scope="read,write")
