"""The page in a real browser, with a token that can do one thing, and the command that runs all of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pizza.servers import Addresses, running
from real_servers.browser import browser, look

from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.processes

RUN = Path(__file__).resolve().with_name("run.py")
PATIENCE = 60.0
"""Seconds that a test waits for something that usually takes a moment."""


@pytest.fixture
def clock() -> FakeClock:
    """The vendor's clock, which a test can move. The other clocks are real."""
    return FakeClock(wall=time.time())


@pytest.fixture
def pizza(clock: FakeClock) -> Iterator[Addresses]:
    """All servers, with a kitchen that bakes quickly."""
    with running(pause=0.2, clock=clock) as at:
        yield at


class Page:
    """The page, as a person sees it."""

    def __init__(self, driver: Any, at: Addresses) -> None:
        self._driver, self._at = driver, at

    def text(self, element: str) -> str:
        """The text of this element."""
        return str(self._driver.find_element("id", element).text)

    def until(self, condition: Callable[[], object]) -> None:
        """Waits until the condition is true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self._driver.find_element("tag name", "body").text
            time.sleep(0.05)

    def load(self) -> str:
        """Loads the page, waits until it is live, and returns the fingerprint of its token."""
        self._driver.get(self._at.shop)
        self.until(lambda: self.text("state") == "live" and self._driver.find_elements("css selector", "#orders tr"))
        return self.text("fingerprint")

    def sign_in(self, person: str) -> str:
        """Clicks a name; returns the fingerprint of that person's token."""
        button = self._driver.find_element("css selector", f"button[value={person}]")
        button.click()
        self.until(lambda: _is_gone(button))  # the answer has come, and with it the session's cookie
        return self.load()

    def publish(self) -> str:
        """Clicks the button that asks for more than the token allows; returns the result."""
        self._driver.find_element("id", "publish").click()
        self.until(lambda: self.text("published"))
        return self.text("published")

    def problems(self) -> list[str]:
        """The browser's errors, without the refusal that the test causes."""
        log = [entry["message"] for entry in self._driver.get_log("browser")]
        return [message for message in log if "403 (FORBIDDEN)" not in message]


def _is_gone(element: Any) -> bool:
    """True when the page of this element has been replaced."""
    from selenium.common.exceptions import StaleElementReferenceException

    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


def mints(at: Addresses) -> dict[str, int]:
    """How many tokens the authorization server has issued to each client."""
    with requests.Session() as session:
        session.trust_env = False
        found: dict[str, int] = session.get(f"{at.authorization_server}/mints", timeout=PATIENCE).json()
        return found


def test_a_page_watches_with_a_token_that_allows_nothing_else(pizza: Addresses, clock: FakeClock) -> None:
    """Updates arrive; a reload reuses the token for 55 of 60 minutes; Bob has another; publishing is refused."""
    with browser() as driver:
        page = Page(driver, pizza)
        driver.get(pizza.shop)
        assert page.text("state") == "sign in to watch"
        checked = mints(pizza)["shop"]  # the shop's own check at its start
        assert checked == 1

        ada = page.sign_in("Ada")
        seen = page.text("orders")
        page.until(lambda: page.text("orders") != seen)  # a new state of the oven, without a reload
        assert page.text("scope") == "orders:subscribe"
        assert page.publish() == "Refused: 403 insufficient_scope"
        assert "No. 999" not in page.text("orders")

        assert page.load() == ada
        assert page.text("reused") == "the same token"
        clock.advance(54 * 60)
        assert page.load() == ada
        assert page.text("expires").startswith(("5 min", "6 min"))
        assert mints(pizza)["shop"] == checked + 1
        clock.advance(60 + 30)
        renewed = page.load()
        assert renewed != ada
        assert page.text("reused") == "a new token"
        assert page.text("expires").startswith(("59 min", "60 min"))
        assert mints(pizza)["shop"] == checked + 2

        assert page.sign_in("Bob") not in (ada, renewed)
        assert page.sign_in("Ada") == renewed
        assert mints(pizza) == {"shop": checked + 3, "kitchen": 1}
        assert page.problems() == []


def test_a_connection_that_breaks_costs_no_token(pizza: Addresses) -> None:
    """The page connects again with the token that it holds: else a shaky network would use up the hour's cap."""
    with browser() as driver:
        page = Page(driver, pizza)
        driver.get(pizza.shop)
        page.sign_in("Ada")

        def requests_for(end: str) -> int:
            entries = "performance.getEntriesByType('resource').filter((each) => each.name.endsWith(arguments[0]))"
            return int(driver.execute_script(f"return {entries}.length", end))

        streams = requests_for("/orders")
        driver.execute_script("window.stop()")  # breaks what is under way
        page.until(lambda: requests_for("/orders") > streams)
        page.until(lambda: page.text("state") == "live")
        assert requests_for("/token") == 1


def test_a_foreign_page_gets_no_token_from_the_person_who_opens_it(pizza: Addresses) -> None:
    """Signed in at the shop, on a page of another origin: neither a fetch nor a form gets a token."""
    fetching = """
        const [shop, headers, done] = arguments;
        fetch(shop + "/token", { method: "POST", credentials: "include", headers })
            .then((answer) => answer.text()).then(done, (problem) => done("blocked: " + problem.message));
    """
    with browser() as driver:
        page = Page(driver, pizza)
        driver.get(pizza.shop)
        page.sign_in("Ada")
        before = mints(pizza)["shop"]
        driver.get(f"{pizza.authorization_server}/mints")  # another port is another origin
        for headers in ({"X-Requested-With": "fetch"}, {}):
            outcome = driver.execute_async_script(fetching, pizza.shop, headers)
            assert outcome == "blocked: Failed to fetch"
        driver.execute_script(
            "const form = document.createElement('form'); form.method = 'POST'; form.action = arguments[0] + '/token';"
            "document.body.append(form); form.submit();",
            pizza.shop,
        )
        page.until(lambda: driver.current_url == f"{pizza.shop}/token")
        assert "access_token" not in driver.page_source
        assert "access_denied" in driver.page_source
        assert mints(pizza)["shop"] == before


def test_the_page_fits(pizza: Addresses) -> None:
    """Nothing is cut off on a desk or a phone, and the page goes with the light. PIZZA_SCREENSHOTS keeps pictures."""
    with browser() as driver:
        page = Page(driver, pizza)
        driver.get(pizza.shop)
        page.sign_in("Ada")
        page.publish()
        for width, dark in ((1280, False), (1280, True), (400, False), (400, True)):
            look(driver, width, dark=dark)
            assert driver.execute_script("return innerWidth") == width
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(22, 19, 15)" if dark else "rgb(250, 247, 242)")
            if folder := os.environ.get("PIZZA_SCREENSHOTS"):
                driver.save_screenshot(f"{folder}/pizza-{width}-{'dark' if dark else 'light'}.png")


def test_one_command_runs_it_and_ctrl_c_ends_it(start: Any) -> None:
    """``python run.py`` says where the page is; a token needs a signed-in person and the header; Ctrl-C ends all."""
    example = start(RUN)
    shop = example.printed["page"]
    with requests.Session() as session:
        session.trust_env = False

        def ask(**headers: str) -> requests.Response:
            return session.post(f"{shop}/token", headers=headers, timeout=PATIENCE)

        assert ask(**{"X-Requested-With": "fetch"}).status_code == 401
        session.post(f"{shop}/sign-in", {"person": "Ada"}, timeout=PATIENCE)
        assert ask().status_code == 400
        given = ask(**{"X-Requested-With": "fetch"}).json()
        assert given.keys() == {"access_token", "token_type", "expires_in", "scope"}
    os.killpg(example.process.pid, signal.SIGINT)
    assert example.process.wait(PATIENCE) == 0
