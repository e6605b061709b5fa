"""The admin page "Service tokens" in a real browser: log in, read, renew and clear; light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django_processes import address_in, environment, running
from real_servers.browser import browser
from selenium.webdriver.common.by import By
from status_page_browser import box, check_how_it_looks, check_what_it_says, press, token, wait_for
from status_page_fleet import a_fleet

from m2m_auth.testing import FakeAuthorizationServer

COMMAND = [sys.executable, "-m", "gunicorn", "--workers=1", "--threads=4", "--bind=127.0.0.1:0", "browser_served:wsgi"]
PAGE = "/admin/m2m_auth/servicetoken/"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the project, whose clients have a day's work behind them."""
    folder = tmp_path_factory.mktemp("browser")
    with FakeAuthorizationServer() as server:
        clients = json.dumps(a_fleet(server, f"disk:{folder}/tokens"))
        own = environment(server, folder, DJANGO_SETTINGS_MODULE="browser_settings", M2M_TEST_CLIENTS=clients)
        log = folder / "log"
        with running(COMMAND, own, log, lambda text: "Booting worker" in text and bool(address_in(text))):
            yield address_in(log.read_text())


def log_in(driver: Any, address: str) -> None:
    """As a person does: the page asks who it is, then comes by itself."""
    driver.get(address + PAGE)
    driver.find_element(By.NAME, "username").send_keys("ada")
    driver.find_element(By.NAME, "password").send_keys("correct horse")
    driver.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    wait_for(driver, ".m2m")


def said(driver: Any) -> str:
    """What the page says has happened."""
    return str(driver.find_element(By.CLASS_NAME, "messagelist").text)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_in_a_browser(project: str, dark: bool) -> None:
    """Every client is there and readable: nothing is wider than the screen, no script fails, no secret is shown."""
    with browser(1280, dark=dark) as driver:
        log_in(driver, project)
        check_what_it_says(driver)
        check_how_it_looks(driver, "django", dark=dark)


def test_renew_and_clear_by_hand(project: str) -> None:
    """Press Renew: another token, said so and shown; press Clear: none. Other clients keep theirs."""
    with browser(1280) as driver:
        log_in(driver, project)
        before, other = token(driver, "search"), token(driver, "billing")
        press(driver, "search", "Renew")
        fingerprint = re.search(r"New token for search: ([0-9a-f]{8})\.", said(driver))
        assert fingerprint, said(driver)
        assert before != fingerprint[1] == token(driver, "search")
        assert "1 forced" in box(driver, "search").text
        press(driver, "search", "Clear")
        assert "Cleared search" in said(driver)
        assert "no token yet" in box(driver, "search").text
        assert (token(driver, "search"), token(driver, "billing")) == ("none", other)
