"""A service as a Flask blueprint passes the contract of all servers, and works with Flask's parts."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, session
from flask_m2m_auth.serving import blueprint
from serving_contract import MAX_BODY, Echo, ServingContract
from serving_servers import by_waitress

from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.vending import TokenVendor


@pytest.fixture(scope="module")
def on_waitress() -> Iterator[str]:
    """A Flask app with the service as a blueprint."""
    app = Flask("echo")
    app.register_blueprint(blueprint(Echo(), "echo", "/at", max_body=MAX_BODY))
    with by_waitress(app) as url:
        yield url


class TestFlask(ServingContract):
    """In a Flask app on waitress."""

    @pytest.fixture
    def base_url(self, on_waitress: str) -> str:
        """The server's URL."""
        return on_waitress


def test_a_vendor_knows_the_sessions_user(server: FakeAuthorizationServer) -> None:
    """The caller function runs in the request's context: it reads the caller from Flask's session."""
    vendor = TokenVendor(
        lambda narrowed: narrowed.source(server.token_endpoint, "client", "secret"),
        caller=lambda _: session.get("user"),
        scopes="orders:subscribe",
    )
    app = Flask("shop")
    app.secret_key = "for tests"
    app.register_blueprint(blueprint(vendor, "tokens", "/token"))
    app.add_url_rule("/login/<name>", "login", lambda name: session.update(user=name) or "")

    def vended(client: Any) -> Any:
        return client.post("/token", headers={"X-Requested-With": "fetch"})

    ada, bob = app.test_client(), app.test_client()
    assert vended(ada).status_code == 401
    ada.get("/login/ada")
    bob.get("/login/bob")
    first, second = vended(ada).json["access_token"], vended(bob).json["access_token"]
    assert first == vended(ada).json["access_token"] != second
    assert ada.post("/token").status_code == 400
    assert ada.post("/token/x", headers={"X-Requested-With": "fetch"}).status_code == 404


def test_two_services_live_in_one_app() -> None:
    """Two services have two names and two prefixes."""
    app = Flask("two")
    for name in ("one", "two"):
        app.register_blueprint(blueprint(Echo(), name, f"/{name}"))
    for name in ("one", "two"):
        assert app.test_client().post(f"/{name}/deep/er?x=1").json["path"] == "/deep/er"


@pytest.mark.parametrize("how", ["get_data", "form", "nothing"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_a_hook_has_read_is_not_lost(how: str, chunked: bool) -> None:
    """A before_request that reads or parses it, as loggers and CSRF protection do, leaves the service its body, and the
    limit holds; with a length or in chunks.
    """
    from flask import request

    app = Flask("logged")
    reading = {"get_data": lambda: request.get_data(), "form": lambda: request.form, "nothing": lambda: None}[how]
    app.before_request(lambda: reading() and None)
    app.register_blueprint(blueprint(Echo(), "echo", "/at", max_body=100))

    def asked(body: bytes) -> Any:
        length = {} if chunked else {"CONTENT_LENGTH": str(len(body))}
        ends = {"wsgi.input_terminated": True} if chunked else {}
        environ = {"wsgi.input": BytesIO(body), "CONTENT_TYPE": "application/x-www-form-urlencoded", **length, **ends}
        return app.test_client().open("/at", method="POST", environ_overrides=environ).json

    assert asked(b"scope=a+b&scope=%C3%BC")["body"] == "scope=a+b&scope=%C3%BC"
    large = asked(b"scope=" + b"a" * 200)
    assert (large["body"], large["too_large"]) == ("", True)


def test_a_path_with_many_slashes_is_no_redirect() -> None:
    """Werkzeug would redirect to a URL made of the Host header, with an answer that caches keep."""
    app = Flask("slashes")
    app.register_blueprint(blueprint(Echo(), "echo", "/at"))
    for path in ("/at//", "/at//x", "/at/x//y"):
        answer = app.test_client().post(path, base_url="http://evil.example")
        assert (answer.status_code, "Location" in answer.headers) == (200 if "y" in path else 404, False)
