"""A service as a Django view passes the contract of all servers, under WSGI and ASGI, and works with Django's parts."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client, override_settings
from django.urls import path
from django_m2m_auth.serving import view
from serving_contract import MAX_BODY, Echo, ServingContract
from serving_servers import by_uvicorn, by_waitress

from m2m_auth.serving import Answer, Request
from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.vending import TokenVendor

echo = view(Echo(), max_body=MAX_BODY)
urlpatterns: list[Any] = [path("at", echo), path("at/", echo), path("at/<path:path>", echo)]


@pytest.fixture(scope="module")
def own_urls() -> Iterator[None]:
    """The URLconf is this module."""
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture(scope="module")
def on_waitress(own_urls: None) -> Iterator[str]:
    """Django's WSGI application."""
    with by_waitress(get_wsgi_application()) as url:
        yield url


@pytest.fixture(scope="module")
def on_uvicorn(own_urls: None) -> Iterator[str]:
    """Django's ASGI application."""
    with by_uvicorn(get_asgi_application(), lifespan="off") as url:
        yield url


class TestDjangoWsgi(ServingContract):
    """In a Django project on waitress."""

    chunked = False  # Django reads no body without a Content-Length under WSGI

    @pytest.fixture
    def base_url(self, on_waitress: str) -> str:
        """The server's URL."""
        return on_waitress


class TestDjangoAsgi(ServingContract):
    """In a Django project on uvicorn."""

    @pytest.fixture
    def base_url(self, on_uvicorn: str) -> str:
        """The server's URL."""
        return on_uvicorn


def user(request: Request) -> str | None:
    """The caller of a vendor in a Django project: the primary key of Django's user."""
    return str(request.native.user.pk) if request.native.user.is_authenticated else None


def test_a_vendor_knows_djangos_user_and_needs_no_csrf_token(server: FakeAuthorizationServer) -> None:
    """``native`` is Django's request, after its middleware; with CSRF checks enforced, the vendor's own rule holds."""
    vendor = TokenVendor(
        lambda narrowed: narrowed.source(server.token_endpoint, "client", "secret"),
        caller=user,
        scopes="orders:subscribe",
    )
    module = ModuleType("urls_of_this_test")
    module.__dict__["urlpatterns"] = [path("token", view(vendor))]
    logged_in = "test_django_serving.sign_in"
    with override_settings(ROOT_URLCONF=module, MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", logged_in]):
        browser = Client(enforce_csrf_checks=True)

        def vended(name: str, **headers: str) -> Any:
            form = "application/x-www-form-urlencoded"
            return browser.post("/token", b"scope=orders:subscribe", form, headers={"X-User": name, **headers})

        own = {"X-Requested-With": "fetch"}
        assert vended("ada").status_code == 400
        assert vended("", **own).status_code == 401
        ada, bob = (vended(name, **own).json()["access_token"] for name in ("ada", "bob"))
        assert ada == vended("ada", **own).json()["access_token"] != bob


def sign_in(get_response: Any) -> Any:
    """A middleware in the place of Django's own: the user's name is in a header."""

    def signed_in(request: Any) -> Any:
        name = request.headers.get("X-User", "")
        request.user = SimpleNamespace(pk=name, is_authenticated=bool(name))
        return get_response(request)

    return signed_in


def test_a_body_that_a_middleware_has_read_is_not_lost() -> None:
    """The service gets the body also where a middleware has read ``request.body``, as loggers do."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=["test_django_serving.reads_the_body"]):
        assert Client().post("/at", b"a=b", content_type="text/plain").json()["body"] == "a=b"


@pytest.mark.parametrize("length", ["²", "-1", "1e3", "9" * 5000, "0" * 30 + "5000"])
def test_an_odd_length_is_no_failure(length: str) -> None:
    """Where a server lets an odd length pass, the service answers, and its body is within the limit or empty."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        answer = Client().post("/at", b"x" * 5000, content_type="text/plain", CONTENT_LENGTH=length)
        assert answer.json()["body"] == ""


def test_no_transaction_is_open_while_the_service_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under ATOMIC_REQUESTS a slow authorization server would keep the database's locks."""

    class TransactionState:
        """Answers whether a transaction is open."""

        def answer(self, request: Request, /) -> Answer:
            return Answer.json(200, {"atomic": connection.in_atomic_block})

    module = ModuleType("urls_of_the_transaction_test")
    module.__dict__["urlpatterns"] = [path("at", view(TransactionState()))]
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with override_settings(ROOT_URLCONF=module, MIDDLEWARE=[]):
        assert Client().post("/at").json() == {"atomic": False}


def reads_the_body(get_response: Any) -> Any:
    """A middleware that reads the body before the view does."""

    def read(request: Any) -> Any:
        assert request.body == b"a=b"
        return get_response(request)

    return read
