"""The status page: off by default, behind an access check, safe against forged forms, and silent about secrets."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask, redirect
from flask.testing import FlaskClient
from flask_apps import MakeApp
from flask_m2m_auth import M2M, status_page
from werkzeug.test import TestResponse

from m2m_auth import ConfigurationError
from m2m_auth.testing import FakeAuthorizationServer


class Forms(HTMLParser):
    """The forms of a page: where each posts to, and its hidden fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append({"action": attributes["action"]})
        elif tag == "input":
            self.found[-1][attributes["name"]] = attributes["value"]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """An app with the page, for requests with a header."""
    from flask import request

    app = make_app()
    app.register_blueprint(status_page(lambda: request.headers.get("X-Operator") == "yes"), url_prefix="/tokens")
    return app


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    """A test client that sends the header."""
    client = app.test_client()
    client.environ_base["HTTP_X_OPERATOR"] = "yes"
    return client


def press(client: FlaskClient, operation: str, **headers: str) -> TestResponse:
    """Load the page and press a button."""
    (form,) = Forms(client.get("/tokens/").text).found
    return client.post(form.pop("action"), data={**form, "operation": operation}, headers=headers)


@pytest.mark.parametrize("access", [None, True, "is_admin"])
def test_no_page_without_an_access_check(access: Any) -> None:
    """There is no blueprint, and the error shows the fix."""
    with pytest.raises(ConfigurationError, match=r"needs a callable that decides who may see it\. Fix: status_page\("):
        status_page(access)
    with pytest.raises(TypeError):
        status_page()  # type: ignore[call-arg]


@pytest.mark.loopback
def test_off_by_default(make_app: MakeApp) -> None:
    """An app that registers nothing has Flask's own route only."""
    assert [rule.endpoint for rule in make_app().url_map.iter_rules()] == ["static"]


@pytest.mark.loopback
@pytest.mark.parametrize("answer", [False, None, 1, "yes", ("body", 200), {"user": 1}])
def test_access_is_granted_by_true_alone(make_app: MakeApp, server: FakeAuthorizationServer, answer: Any) -> None:
    """A truthy value that is not True is a 403 for GET and POST; nothing is minted."""
    app = make_app()
    app.register_blueprint(status_page(lambda: answer), url_prefix="/tokens")
    client = app.test_client()
    client.set_cookie("m2m_auth_csrf", "token", path="/tokens/")
    form = {"m2m_auth_csrf": "token", "alias": "billing", "operation": "renew"}
    assert (client.get("/tokens/").status_code, client.post("/tokens/", data=form).status_code) == (403, 403)
    assert server.token_requests == 0


@pytest.mark.loopback
def test_access_may_lead_to_a_login(make_app: MakeApp) -> None:
    """A response of the check is the answer; an async check is awaited."""
    pytest.importorskip("asgiref")

    async def ask() -> Any:
        return redirect("/login")

    app = make_app()
    app.register_blueprint(status_page(ask), url_prefix="/tokens")
    assert app.test_client().get("/tokens/").headers["Location"] == "/login"


@pytest.mark.loopback
def test_the_page(server: FakeAuthorizationServer, app: Flask, operator: FlaskClient, m2m: M2M) -> None:
    """It shows each client by the fingerprint of its token, and no token; it mints nothing."""
    assert "billing" in operator.get("/tokens/").text
    assert server.token_requests == 0
    with app.app_context():
        token = m2m["billing"].source.token()
    page = operator.get("/tokens/")
    assert token.fingerprint in page.text
    assert token.value not in page.text
    assert page.mimetype == "text/html"


@pytest.mark.loopback
def test_its_headers(operator: FlaskClient) -> None:
    """Not cached, not framed, no script; its styles have the nonce; scripts and other sites cannot read its cookie."""
    first, second = operator.get("/tokens/"), operator.get("/tokens/", base_url="https://localhost")
    policy = first.headers["Content-Security-Policy"]
    (nonce,) = re.findall(r"style-src 'nonce-([\w-]+)'", policy)
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert first.text.count("<style") == first.text.count(f'<style nonce="{nonce}"') > 0
    assert nonce not in second.headers["Content-Security-Policy"]
    assert first.headers["Cache-Control"] == "no-store"
    cookie = first.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/tokens/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "Secure" in second.headers["Set-Cookie"]


@pytest.mark.loopback
def test_the_buttons(server: FakeAuthorizationServer, operator: FlaskClient) -> None:
    """Renew mints one, Clear forgets it; both redirect to the page, so a reload does not post again."""
    renewed = press(operator, "renew", **{"Sec-Fetch-Site": "same-origin"})
    assert (renewed.status_code, renewed.headers["Location"]) == (303, "/tokens/")
    assert server.mints == 1
    assert "fresh" in operator.get("/tokens/").text
    assert press(operator, "clear").status_code == 303
    assert "no token yet" in operator.get("/tokens/").text
    assert server.mints == 1


@pytest.mark.loopback
def test_a_button_that_fails(server: FakeAuthorizationServer, operator: FlaskClient) -> None:
    """The page shows the failure."""
    server.fail("503")
    failed = press(operator, "renew")
    assert failed.status_code == 502
    assert 'role="alert"' in failed.text
    assert "503" in failed.text


def forged(client: FlaskClient) -> dict[str, TestResponse]:
    """Every way to post without the page."""
    (form,) = Forms(client.get("/tokens/").text).found
    form = {**form, "operation": "renew"}
    without = {name: value for name, value in form.items() if name != "m2m_auth_csrf"}
    answers = {
        "no token": client.post("/tokens/", data=without),
        "another token": client.post("/tokens/", data={**without, "m2m_auth_csrf": "another"}),
        "odd token": client.post(
            "/tokens/", data={**without, "m2m_auth_csrf": "ä\udce4\x00".encode("utf-8", "replace")}
        ),
        "in the URL": client.post("/tokens/", query_string=form),
        "JSON": client.post("/tokens/", json=form),
        "from another site": client.post("/tokens/", data=form, headers={"Sec-Fetch-Site": "cross-site"}),
        "from a sibling": client.post("/tokens/", data=form, headers={"Sec-Fetch-Site": "same-site"}),
    }
    client.delete_cookie("m2m_auth_csrf", path="/tokens/")
    answers["no cookie"] = client.post("/tokens/", data=form)
    client.set_cookie("m2m_auth_csrf", "", path="/tokens/")
    answers["empty cookie"] = client.post("/tokens/", data={**form, "m2m_auth_csrf": ""})
    return answers


@pytest.mark.loopback
def test_forged_forms(server: FakeAuthorizationServer, operator: FlaskClient) -> None:
    """Each is a 403 and mints nothing; a GET with the form's fields only shows the page."""
    answers = forged(operator)
    assert {way: answer.status_code for way, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert operator.get("/tokens/?alias=billing&operation=renew").status_code == 200
    assert server.token_requests == 0


@pytest.mark.loopback
@pytest.mark.parametrize(
    "wrong",
    [{"alias": "<script>"}, {"alias": ""}, {"operation": "doctor"}, {"operation": ""}, {"operation": "__class__"}],
)
def test_invalid_forms(server: FakeAuthorizationServer, operator: FlaskClient, wrong: dict[str, str]) -> None:
    """An unknown alias or operation is a 400, which does not repeat it."""
    (form,) = Forms(operator.get("/tokens/").text).found
    answer = operator.post("/tokens/", data={**form, "operation": "renew", **wrong})
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert server.token_requests == 0


@pytest.mark.loopback
def test_hostile_aliases(make_app: MakeApp, server: FakeAuthorizationServer) -> None:
    """Markup in an alias or in a server's message is text on the page; the alias's buttons work."""
    alias = "<script>alert('1')</script>\"/../{0}%s"
    client = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
    app = make_app(M2M_AUTH_CLIENTS={alias: client})
    app.register_blueprint(status_page(lambda: True), url_prefix="/tokens")
    browser = app.test_client()
    server.fail("oauth_error", error="invalid_scope", description="<script>alert(2)</script>")
    failed = press(browser, "renew")
    assert "<script" not in failed.text
    assert "&lt;script&gt;alert(2)" in failed.text
    server.recover()
    assert press(browser, "clear").status_code == 303
    assert Forms(browser.get("/tokens/").text).found[0]["alias"] == alias


@pytest.mark.loopback
def test_under_a_prefix(operator: FlaskClient) -> None:
    """Where the server mounts the app below a path, form and cookie have that path."""
    page = operator.get("/tokens/", base_url="http://localhost/shop")
    assert Forms(page.text).found[0]["action"] == "/shop/tokens/"
    assert "Path=/shop/tokens/" in page.headers["Set-Cookie"]
