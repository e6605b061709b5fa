"""``@require_m2m`` on Flask views."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask, Response, g, jsonify
from flask_m2m_auth.receiving import receiving_verifier, require_m2m
from live import serving
from receiving_contract import ReceivingContract

from m2m_auth.errors import ConfigurationError
from m2m_auth.verifier import VerifiedToken


class Own:
    """A verifier for which every token is good, and is the client's id."""

    def verify(self, token: str) -> VerifiedToken:
        """Returns the token's facts."""
        return VerifiedToken(client_id=token, scopes=frozenset({"read"}), claims={})


def seen() -> Response:
    """A view that answers the facts about its caller."""
    return jsonify(client=g.m2m.client_id, scopes=sorted(g.m2m.scopes))


async def seen_async() -> Response:
    """The same in an async view."""
    return seen()


def make_app(receiving: Any) -> Flask:
    """An application with a view for each kind of need."""
    app = Flask("api")
    app.config["M2M_AUTH_RECEIVING"] = receiving
    views = {
        "/read": require_m2m(scope="read")(seen),
        "/admin": require_m2m(scope="read admin")(seen),
        "/other": require_m2m(audience="other")(seen),
        "/bare": require_m2m(seen),
        "/async": require_m2m(scope=["read"])(seen_async),
    }
    for path, view in views.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


@pytest.mark.loopback
class TestReceivingOverTheWire(ReceivingContract):
    """The contract, on a real port."""

    def serve(self, receiving: Any) -> AbstractContextManager[str]:
        """The application on a port."""
        return serving(make_app(receiving))


def test_a_view_keeps_its_name() -> None:
    """Flask names endpoints by functions, so a decorated view keeps the name of its function."""
    assert require_m2m(scope="read")(seen).__name__ == "seen"
    assert require_m2m(seen).__doc__ == seen.__doc__


def test_path_arguments_arrive() -> None:
    """The view gets the path's arguments."""
    app = Flask("api")
    app.config["M2M_AUTH_RECEIVING"] = Own()

    @app.get("/orders/<int:number>")
    @require_m2m
    def order(number: int) -> str:
        return f"{g.m2m.client_id} reads {number}"

    assert app.test_client().get("/orders/7", headers={"Authorization": "Bearer shop"}).text == "shop reads 7"


def test_every_app_has_its_own_verifier() -> None:
    """Two apps in one process, with different settings; the verifier is built once for each."""
    apps = [make_app({"ISSUER": f"https://{name}.example", "AUDIENCE": "api"}) for name in ("one", "two")]
    found = []
    for app in apps:
        with app.app_context():
            found.append(receiving_verifier())
        with app.app_context():
            assert receiving_verifier() is found[-1]
    assert [repr(each) for each in found] == [
        "<JWTVerifier of https://one.example>",
        "<JWTVerifier of https://two.example>",
    ]


def test_config_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``from_prefixed_env`` makes the dictionary, nested keys and numbers included."""
    monkeypatch.setenv("FLASK_M2M_AUTH_RECEIVING__ISSUER", "https://tenant.example")
    monkeypatch.setenv("FLASK_M2M_AUTH_RECEIVING__AUDIENCE", "api")
    monkeypatch.setenv("FLASK_M2M_AUTH_RECEIVING__LEEWAY", "5")
    app = Flask("api")
    app.config.from_prefixed_env()
    with app.app_context():
        assert repr(receiving_verifier()) == "<JWTVerifier of https://tenant.example>"


@pytest.mark.parametrize("receiving", [None, {"ISSUER": "https://tenant.example"}, {"ISSUER": "x", "AUDIENCE": "y"}])
def test_wrong_config_admits_no_call(receiving: Any) -> None:
    """A view that cannot verify raises, and lets no call in; the message names the setting."""
    client = make_app(receiving).test_client()
    assert client.get("/read", headers={"Authorization": "Bearer a"}).status_code == 500
    app = make_app(receiving)
    app.testing = True
    with pytest.raises(ConfigurationError, match="M2M_AUTH_RECEIVING"):
        app.test_client().get("/read", headers={"Authorization": "Bearer a"})


def test_a_scope_that_cannot_be_one_is_found_at_import() -> None:
    """A mistake in the decorator is an error before any call."""
    with pytest.raises(ConfigurationError, match="scope"):
        require_m2m(scope="read,write")


def test_a_refused_call_does_not_run_the_view() -> None:
    """Refused calls do not reach the view, and leave nothing in ``g``."""
    app = Flask("api")
    app.config["M2M_AUTH_RECEIVING"] = Own()
    ran = []

    @app.get("/")
    @require_m2m(scope="admin")
    def view() -> str:
        ran.append(1)
        return ""

    @app.after_request
    def check(response: Response) -> Response:
        response.headers["X-Seen"] = str("m2m" in g)
        return response

    answer = app.test_client().get("/", headers={"Authorization": "Bearer shop"})
    assert (answer.status_code, answer.headers["X-Seen"], ran) == (403, "False", [])
