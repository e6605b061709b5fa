"""The web shop: a page for people, and the vending endpoint from which the page gets its token."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, render_template, request, session
from flask_m2m_auth.serving import blueprint
from werkzeug.wrappers import Response as AnyResponse

from m2m_auth.vending import TokenVendor

PEOPLE = ("Ada", "Bob")
"""The people who can sign in with a click. In production this is your login."""


def create_app(token_endpoint: str, client_secret: str, orders: str, clock: Any = None) -> Flask:
    """The shop.

    Args:
        token_endpoint: where tokens are minted.
        client_secret: the shop's; no page ever sees it.
        orders: the orders API's URL.
        clock: for the test, which does not wait for 55 minutes.
    """
    vendor = TokenVendor(
        # With several workers: cache="redis://…", so that all of them have one token for each person.
        lambda narrowed: narrowed.source(token_endpoint, "shop", client_secret),
        caller=lambda _: session.get("person"),  # None: the visitor has not signed in, and gets no token
        scopes=["orders:subscribe"],  # the shop itself might publish, too; its pages may not
        lifetime=3600,  # seconds; kept for 55 of the 60 minutes
        per_hour=120,
        clock=clock,
    )
    vendor.check()  # a server that does not narrow is found at the start, and not by a customer

    app = Flask("shop", root_path=str(Path(__file__).parent))
    app.secret_key = secrets.token_bytes()
    app.config.update(SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_NAME="pizza")
    app.register_blueprint(blueprint(vendor, "tokens", "/token"))

    @app.get("/")
    def page() -> str:
        return render_template("page.html", orders=orders, person=session.get("person"), people=PEOPLE)

    @app.post("/sign-in")
    def sign_in() -> AnyResponse:
        if request.form.get("person") in PEOPLE:
            session["person"] = request.form["person"]
        return redirect("/")

    @app.after_request
    def only_what_is_needed(response: Response) -> Response:
        response.headers.setdefault(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' {orders}; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        )
        return response

    return app
