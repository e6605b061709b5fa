"""The status page in a real browser: log in, read, renew and clear; light and dark, wide and narrow."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, redirect, request, session
from flask_m2m_auth import M2M, status_page
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from m2m_auth.slot import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

sys.path.append(str(Path(__file__).parents[3] / "tests"))

from servers.browser import browser
from services.live import serving
from tools.tools_fleet import HOSTS, LONG, SECRET, a_fleet

LOGIN = """<!doctype html><html lang="en"><title>Log in</title><body><form method="post">
<label>Password <input type="password" name="password"></label> <button>Log in</button></form></body></html>"""
FITS = "const page = document.documentElement; return page.scrollWidth <= page.clientWidth"


def operators() -> Any:
    """Who has logged in may see the page; others are sent to the login."""
    return session.get("operator") is True or redirect("/login")


def an_app(clients: dict[str, Any], cache: str) -> Flask:
    """An app with a login of its own."""
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
    """The app's address, and the server of its clients, which have a day's work behind them."""
    cache = f"disk:{tmp_path_factory.mktemp('browser')}/tokens"
    with FakeAuthorizationServer() as server:
        clients = a_fleet(server, cache)
        forget_everything()
        with serving(an_app(clients, cache)) as address:
            yield server, address


def log_in(driver: Any, address: str) -> None:
    """As a person does: the page asks who it is, then comes by itself."""
    driver.get(f"{address}/service-tokens/")
    driver.find_element(By.NAME, "password").send_keys("correct horse")
    driver.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.CLASS_NAME, "m2m"))


def box(driver: Any, alias: str) -> Any:
    """One client's part of the page."""
    (found,) = [each for each in driver.find_elements(By.CSS_SELECTOR, ".m2m section") if each.text.startswith(alias)]
    return found


def token(driver: Any, alias: str) -> str:
    """The token that is shown for a client, by its fingerprint."""
    return str(box(driver, alias).find_element(By.TAG_NAME, "dd").text)


def press(driver: Any, alias: str, name: str) -> None:
    """Press a button, and wait for the page that comes then."""
    button = box(driver, alias).find_element(By.XPATH, f".//button[text()='{name}']")
    button.click()
    WebDriverWait(driver, 30).until(staleness_of(button))
    WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.CLASS_NAME, "m2m"))


def keep(driver: Any, name: str) -> None:
    """A picture of the whole page in the folder M2M_SCREENSHOTS, for people; none where that is not set."""
    folder = os.environ.get("M2M_SCREENSHOTS")
    if folder:
        whole = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(whole["data"]))


def narrow(driver: Any, width: int) -> None:
    """The same page on a screen of this width."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    WebDriverWait(driver, 30).until(lambda found: found.execute_script("return window.innerWidth") == width)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_in_a_browser(fleet: tuple[FakeAuthorizationServer, str], dark: bool) -> None:
    """Every client is there and readable: nothing is wider than the screen, nothing is blocked, no secret is shown."""
    with browser(1280, dark=dark) as driver:
        log_in(driver, fleet[1])
        found = driver.find_elements(By.CSS_SELECTOR, ".m2m section")
        assert [each.find_element(By.TAG_NAME, "h2").text for each in found] == [
            *("billing", "search", "reports", LONG, "mail", "idle"),
        ]
        billing = box(driver, "billing")
        assert "fresh" in billing.text
        assert re.search(r"Last 24 hours: \d+ minted, 3 failed", billing.text)
        assert all(host in billing.text for host in HOSTS)
        assert "so it is used up" in box(driver, "reports").text
        assert "invalid_client" in box(driver, "mail").text
        assert SECRET not in driver.page_source
        bars = billing.find_elements(By.CSS_SELECTOR, ".m2m-hours g")
        assert len(bars) == 24
        heights = [max(part.rect["height"] for part in bar.find_elements(By.TAG_NAME, "rect")) for bar in bars]
        assert max(heights) > 30 > min(heights), "the tallest fills the chart"
        for width in (1280, 400):
            narrow(driver, width)
            assert driver.execute_script(FITS)
            for each in found:
                assert each.rect["x"] >= 0
                assert each.rect["x"] + each.rect["width"] <= width
            keep(driver, f"flask-{width}-{'dark' if dark else 'light'}")
        ground = driver.execute_script("return getComputedStyle(document.documentElement).colorScheme")
        assert ground == "light dark"
        assert [each for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []


def test_renew_and_clear_by_hand(fleet: tuple[FakeAuthorizationServer, str]) -> None:
    """Press Renew: another token; press Clear: none; a renewal that fails says why. Other clients keep theirs."""
    server, address = fleet
    with browser(1280) as driver:
        log_in(driver, address)
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
