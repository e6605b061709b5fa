"""The status page in a real browser: log in, read, renew and clear; light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, redirect, request, session
from flask_m2m_auth import M2M, status_page
from live import serving
from real_servers.browser import browser
from selenium.webdriver.common.by import By
from status_page_browser import box, check_how_it_looks, check_what_it_says, press, token, wait_for
from status_page_fleet import a_fleet

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

LOGIN = """<!doctype html><html lang="en"><title>Log in</title><body><form method="post">
<label>Password <input type="password" name="password"></label> <button>Log in</button></form></body></html>"""


def operators() -> Any:
    """True for a session that has logged in; a redirect to the login for others."""
    return session.get("operator") is True or redirect("/login")


def an_app(clients: dict[str, Any], cache: str) -> Flask:
    """An app with a login."""
    app = Flask("shop")
    app.secret_key = "for tests"
    app.config.update(M2M_AUTH_CLIENTS=clients, M2M_AUTH_CACHES={"default": cache})
    M2M().init_app(app)
    app.register_blueprint(status_page(operators), url_prefix="/service-tokens")

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if request.form.get("password") != "correct horse":
            return LOGIN
        session["operator"] = True
        return redirect("/service-tokens/")

    @app.get("/favicon.ico")
    def no_icon() -> Any:
        return "", 204

    return app


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeAuthorizationServer, str]]:
    """The server of the app's clients, which have worked for a day, and the app's address."""
    cache = f"disk:{tmp_path_factory.mktemp('browser')}/tokens"
    with FakeAuthorizationServer() as server:
        clients = a_fleet(server, cache)
        forget_everything()
        with serving(an_app(clients, cache)) as address:
            yield server, address


def log_in(driver: Any, address: str) -> None:
    """Logs in as a person does: the page redirects to the login and back."""
    driver.get(f"{address}/service-tokens/")
    driver.find_element(By.NAME, "password").send_keys("correct horse")
    driver.find_element(By.TAG_NAME, "button").click()
    wait_for(driver, ".m2m")


def test_the_dark_page(fleet: tuple[FakeAuthorizationServer, str]) -> None:
    """Every client is there and readable: nothing is wider than the screen, nothing is blocked, no secret is shown."""
    with browser(1280, dark=True) as driver:
        log_in(driver, fleet[1])
        check_what_it_says(driver)
        check_how_it_looks(driver, "flask", dark=True)
        ground = driver.execute_script("return getComputedStyle(document.documentElement).colorScheme")
        assert ground == "light dark"


def test_renew_and_clear_on_the_light_page(fleet: tuple[FakeAuthorizationServer, str]) -> None:
    """The page is readable. Renew shows another token or the error, Clear shows none; others keep their tokens."""
    server, address = fleet
    with browser(1280) as driver:
        log_in(driver, address)
        check_how_it_looks(driver, "flask", dark=False)
        before, other = token(driver, "search"), token(driver, "billing")
        press(driver, "search", "Renew")
        renewed = token(driver, "search")
        assert re.fullmatch("[0-9a-f]{8}", renewed)
        assert renewed != before
        assert "1 forced" in box(driver, "search").text
        press(driver, "search", "Clear")
        assert token(driver, "search") == "none"
        assert "no token yet" in box(driver, "search").text
        server.fail("invalid_client", 1)
        press(driver, "idle", "Renew")
        alert = driver.find_element(By.CSS_SELECTOR, "[role=alert]").text
        assert alert.startswith("idle: ")
        assert "invalid_client" in alert
        assert token(driver, "billing") == other
