"""The admin page "Service tokens" in a real browser: log in, read, renew and clear; light and dark, wide and narrow."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_processes import address_in, environment, running
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from m2m_auth.testing import FakeAuthorizationServer

sys.path.append(str(Path(__file__).parents[3] / "tests"))

from servers.browser import browser
from tools.tools_fleet import HOSTS, LONG, SECRET, a_fleet

COMMAND = [sys.executable, "-m", "gunicorn", "--workers=1", "--threads=4", "--bind=127.0.0.1:0", "browser_served:wsgi"]
PAGE = "/admin/m2m_auth/servicetoken/"
FITS = "const page = document.documentElement; return page.scrollWidth <= page.clientWidth"


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
    WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.CLASS_NAME, "m2m"))


def box(driver: Any, alias: str) -> Any:
    """One client's part of the page."""
    found = [each for each in driver.find_elements(By.CSS_SELECTOR, ".m2m section") if each.text.startswith(alias)]
    assert len(found) == 1
    return found[0]


def press(driver: Any, alias: str, button: str) -> str:
    """Press a button, and read what the page says then."""
    pressed = box(driver, alias).find_element(By.XPATH, f".//button[text()='{button}']")
    pressed.click()
    WebDriverWait(driver, 30).until(staleness_of(pressed))
    WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.CLASS_NAME, "messagelist"))
    return str(driver.find_element(By.CLASS_NAME, "messagelist").text)


def keep(driver: Any, name: str) -> None:
    """A picture of the whole page in the folder M2M_SCREENSHOTS, for people; none where that is not set."""
    folder = os.environ.get("M2M_SCREENSHOTS")
    if folder:
        whole = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(whole["data"]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_in_a_browser(project: str, dark: bool) -> None:
    """Every client is there and readable: nothing is wider than the screen, no script fails, no secret is shown."""
    with browser(1280, dark=dark) as driver:
        log_in(driver, project)
        found = driver.find_elements(By.CSS_SELECTOR, ".m2m section")
        assert [each.find_element(By.TAG_NAME, "h2").text for each in found] == [
            *("billing", "search", "reports", LONG, "mail", "idle"),
        ]
        billing = box(driver, "billing").text
        assert "fresh" in billing
        assert re.search(r"Last 24 hours: \d+ minted, 3 failed", billing)
        assert all(host in billing for host in HOSTS)
        assert " of 40 this month" in box(driver, "reports").text
        assert "invalid_client" in box(driver, "mail").text
        assert SECRET not in driver.page_source
        for width in (1280, 400):
            narrow(driver, width)
            assert driver.execute_script(FITS)
            for each in found:
                assert each.rect["x"] >= 0
                assert each.rect["x"] + each.rect["width"] <= width
            keep(driver, f"django-{width}-{'dark' if dark else 'light'}")
        assert [each for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []


def narrow(driver: Any, width: int) -> None:
    """The same page on a screen of this width."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    WebDriverWait(driver, 30).until(lambda found: found.execute_script("return window.innerWidth") == width)


def test_renew_and_clear_by_hand(project: str) -> None:
    """Press Renew: another token, said so and shown; press Clear: none. Other clients keep theirs."""
    with browser(1280) as driver:
        log_in(driver, project)
        before, other = token(driver, "search"), token(driver, "billing")
        said = press(driver, "search", "Renew")
        fingerprint = re.search(r"New token for search: ([0-9a-f]{8})\.", said)
        assert fingerprint, said
        assert before != fingerprint[1] == token(driver, "search")
        assert "1 forced" in box(driver, "search").text
        assert "Cleared search" in press(driver, "search", "Clear")
        assert "no token yet" in box(driver, "search").text
        assert (token(driver, "search"), token(driver, "billing")) == ("none", other)


def token(driver: Any, alias: str) -> str:
    """The token that is shown for a client, by its fingerprint."""
    return str(box(driver, alias).find_element(By.TAG_NAME, "dd").text)
