"""The status page in a browser, in any framework: its texts, its buttons and its looks."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

from real_servers.browser import look
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait
from status_page_fleet import HOSTS, LONG, SECRET

PATIENCE = 30.0
"""Seconds that a page may take to load."""
FITS = "const page = document.documentElement; return page.scrollWidth <= page.clientWidth"


def wait_for(driver: Any, css: str) -> None:
    """Wait until an element matches."""
    WebDriverWait(driver, PATIENCE).until(lambda found: found.find_elements(By.CSS_SELECTOR, css))


def box(driver: Any, alias: str) -> Any:
    """The box of one client."""
    (found,) = [each for each in driver.find_elements(By.CSS_SELECTOR, ".m2m section") if each.text.startswith(alias)]
    return found


def token(driver: Any, alias: str) -> str:
    """The fingerprint of a client's token, as the page shows it."""
    return str(box(driver, alias).find_element(By.TAG_NAME, "dd").text)


def press(driver: Any, alias: str, name: str) -> None:
    """Press a button, and wait for the next page."""
    button = box(driver, alias).find_element(By.XPATH, f".//button[text()='{name}']")
    button.click()
    WebDriverWait(driver, PATIENCE).until(staleness_of(button))
    wait_for(driver, ".m2m")


def check_what_it_says(driver: Any) -> None:
    """Check that every client has its state, hosts, hours, budget and failure, and that no secret is shown."""
    found = driver.find_elements(By.CSS_SELECTOR, ".m2m section")
    headings = [each.find_element(By.TAG_NAME, "h2").text for each in found]
    assert headings == ["billing", "search", "reports", LONG, "mail", "idle"]
    billing, reports = box(driver, "billing"), box(driver, "reports").text
    assert "fresh" in billing.text
    assert re.search(r"Last 24 hours: \d+ minted, 3 failed", billing.text)
    assert all(host in billing.text for host in HOSTS)
    assert " of 40 this month, so it is used up" in reports
    assert "invalid_client" in box(driver, "mail").text
    assert SECRET not in driver.page_source
    bars = billing.find_elements(By.CSS_SELECTOR, ".m2m-hours g")
    assert len(bars) == 24
    heights = [max(part.rect["height"] for part in bar.find_elements(By.TAG_NAME, "rect")) for bar in bars]
    assert max(heights) > 30 > min(heights), "the tallest fills the chart"


def check_how_it_looks(driver: Any, name: str, *, dark: bool) -> None:
    """Check that nothing is cut off on a wide and a narrow screen, and that the browser reports no error.

    If the environment variable M2M_SCREENSHOTS names a folder, screenshots are saved there.
    """
    found = driver.find_elements(By.CSS_SELECTOR, ".m2m section")
    for width in (1280, 400):
        look(driver, width, dark=dark)
        WebDriverWait(driver, PATIENCE).until(
            lambda page, width=width: page.execute_script("return innerWidth") == width
        )
        assert driver.execute_script(FITS)
        for each in found:
            assert each.rect["x"] >= 0
            assert each.rect["x"] + each.rect["width"] <= width
        if folder := os.environ.get("M2M_SCREENSHOTS"):
            whole = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            path = Path(folder, f"{name}-{width}-{'dark' if dark else 'light'}.png")
            path.write_bytes(base64.b64decode(whole["data"]))
    assert [each for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []
