"""The operator's page in a real browser: log in, read, in light and dark, on a wide and on a narrow screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from live import serving
from operator_support import LONG, TOKEN, an_operator
from real_servers.browser import browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from m2m_auth.serving import wsgi
from m2m_auth.testing import FakeClock


@pytest.fixture
def page(clock: FakeClock) -> Iterator[str]:
    """The page's URL."""
    with serving(wsgi(an_operator(clock))) as base_url:
        yield f"{base_url}/operator"


def log_in(driver: Any, page: str, token: str = TOKEN) -> None:
    """Fill in the form, send it, and wait for the next page."""
    driver.get(page)
    form = driver.find_element(By.TAG_NAME, "form")
    driver.switch_to.active_element.send_keys(token)  # the field has the focus
    form.find_element(By.TAG_NAME, "button").click()
    WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.CSS_SELECTOR, "table, [role=alert]"))


def colours(driver: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The colours of the body's text and background."""
    names = ("color", "background-color")
    body = driver.find_element(By.TAG_NAME, "body")
    found = [body.value_of_css_property(name) for name in names]
    text, ground = (
        tuple(int(float(part)) for part in each.partition("(")[2].strip(")").split(",")[:3]) for each in found
    )
    return text, ground


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(page: str, width: int, dark: bool) -> None:
    """A wrong token, the right one, the table, logging out; nothing is too wide for the screen or blocked."""
    with browser(width, dark=dark) as driver:
        log_in(driver, page, "wrong")
        assert driver.find_element(By.CSS_SELECTOR, "[role=alert]").text == "That is not the operator's token."
        log_in(driver, page)
        assert driver.current_url == page
        rows = driver.find_elements(By.CSS_SELECTOR, "tbody tr")
        assert len(rows) == 12
        assert rows[0].text.startswith("globex")
        assert "Used up: no new token for 16 d 1 h" in rows[0].text
        assert "900 of 900 this month" in rows[0].text
        assert any(row.text.startswith("umbrella\nsilent for 24 hours") for row in rows)
        assert any("soylent <b>&amp;" in row.text for row in rows)
        assert any(LONG in row.text for row in rows)
        fits = "return document.documentElement.scrollWidth <= window.innerWidth"
        assert driver.execute_script(fits)
        narrow = [figure.rect["width"] for figure in driver.find_elements(By.TAG_NAME, "figure")]
        assert len(narrow) == 4
        assert all(200 < each <= width for each in narrow)
        text, ground = colours(driver)
        assert (sum(ground) < 150) is dark, "the style is applied, in the browser's colour scheme"
        assert (sum(text) > 600) is dark
        heading = driver.find_element(By.CSS_SELECTOR, "thead")
        assert heading.is_displayed() is (width == 1280)
        assert driver.execute_script("return document.cookie") == "", "scripts see no cookie"
        assert [each["httpOnly"] for each in driver.get_cookies()] == [True]
        driver.find_element(By.CSS_SELECTOR, "header button").click()
        WebDriverWait(driver, 30).until(lambda found: found.find_elements(By.NAME, "token"))
        assert driver.get_cookies() == []
        blocked = [each for each in driver.get_log("browser") if "Content Security Policy" in each["message"]]
        assert blocked == []


def test_the_bars_are_drawn(page: str) -> None:
    """The used part of a bar covers the share that its words name, in pixels; a column's title names its count."""
    with browser(1280) as driver:
        log_in(driver, page)
        row = next(row for row in driver.find_elements(By.CSS_SELECTOR, "tbody tr") if row.text.startswith("northwind"))
        track, used = (row.find_element(By.CSS_SELECTOR, f"rect.{name}").rect["width"] for name in ("track", "used"))
        assert "432 of 700" in row.text
        assert used / track == pytest.approx(432 / 700, abs=0.01)
        columns = driver.find_elements(By.CSS_SELECTOR, "rect.minted")
        assert len(columns) == 24
        assert all(column.rect["height"] > 1 for column in columns)
        assert (
            columns[-1]
            .find_element(By.XPATH, "../*[name()='title']")
            .get_attribute("textContent")
            .startswith("22:00 to 22:59")
        )
