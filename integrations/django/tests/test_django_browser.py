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

pytestmark = pytest.mark.processes

COMMAND = [sys.executable, "-m", "gunicorn", "--workers=1", "--threads=4", "--bind=127.0.0.1:0", "browser_served:wsgi"]
PAGE = "/admin/m2m_auth/servicetoken/"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the project, whose clients have worked for a day."""
    folder = tmp_path_factory.mktemp("browser")
    with FakeAuthorizationServer() as server:
        clients = json.dumps(a_fleet(server, f"disk:{folder}/tokens"))
        own = environment(server, folder, DJANGO_SETTINGS_MODULE="browser_settings", M2M_TEST_CLIENTS=clients)
        log = folder / "log"
        with running(COMMAND, own, log, lambda text: "Booting worker" in text and bool(address_in(text))):
            yield address_in(log.read_text())


def log_in(driver: Any, address: str) -> None:
    """Logs in as a person does: the page redirects to the login and back."""
    driver.get(address + PAGE)
    driver.find_element(By.NAME, "username").send_keys("ada")
    driver.find_element(By.NAME, "password").send_keys("correct horse")
    driver.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    wait_for(driver, ".m2m")


def messages(driver: Any) -> str:
    """The page's messages."""
    return str(driver.find_element(By.CLASS_NAME, "messagelist").text)


def test_the_dark_page(project: str) -> None:
    """Every client is there and readable: nothing is wider than the screen, no script fails, no secret is shown."""
    with browser(1280, dark=True) as driver:
        log_in(driver, project)
        check_what_it_says(driver)
        check_how_it_looks(driver, "django", dark=True)


def test_renew_and_clear_on_the_light_page(project: str) -> None:
    """The page is readable. Renew shows another token, Clear shows none, and other clients keep their tokens."""
    with browser(1280) as driver:
        log_in(driver, project)
        check_how_it_looks(driver, "django", dark=False)
        before, other = token(driver, "search"), token(driver, "billing")
        press(driver, "search", "Renew")
        fingerprint = re.search(r"New token for search: ([0-9a-f]{8})\.", messages(driver))
        assert fingerprint, messages(driver)
        assert before != fingerprint[1] == token(driver, "search")
        assert "1 forced" in box(driver, "search").text
        press(driver, "search", "Clear")
        assert "Cleared search" in messages(driver)
        assert "no token yet" in box(driver, "search").text
        assert (token(driver, "search"), token(driver, "billing")) == ("none", other)
