"""A real browser for the tests: Debian's Chromium without a window, driven by selenium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",  # loopback only, without the proxies of the environment
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser(width: int = 1280, *, height: int = 900, dark: bool = False) -> Iterator[Chrome]:
    """A selenium driver with a new profile: no cookies, an empty cache. The browser ends with the block.

    Skips the test if Chromium is not installed. Commands time out after 60 s, because the machine may be busy.
    """
    for program in (CHROMIUM, CHROMEDRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (apt-get install chromium chromium-driver)")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    profile = tempfile.mkdtemp(prefix="m2m-auth-browser-")
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = Chrome(options, ChromeService(CHROMEDRIVER, log_output=subprocess.DEVNULL))
        try:
            driver.set_page_load_timeout(60)
            look(driver, width, height=height, dark=dark)
            yield driver
        finally:
            driver.quit()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def look(driver: Chrome, width: int, *, height: int = 900, dark: bool = False) -> None:
    """Set the viewport and the colour scheme of all further pages."""
    # A window has at least 500 px; a viewport can be narrower.
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
