"""The panel for django-debug-toolbar, in real projects: under WSGI and ASGI, in sync and async views."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from django_processes import PATIENCE, address_in, environment, running
from real_servers.browser import browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from m2m_auth.testing import FakeAuthorizationServer

COMMANDS = {
    "wsgi": ["gunicorn", "--workers=1", "--threads=2", "--bind=127.0.0.1:0", "toolbar_served:wsgi"],
    "asgi": ["uvicorn", "--host=127.0.0.1", "--port=0", "--lifespan=off", "toolbar_served:asgi"],
}


@contextmanager
def project(kind: str, server: FakeAuthorizationServer, folder: Path) -> Iterator[str]:
    """The address of the project under this kind of server."""
    log = folder / "log"
    own = environment(server, folder, DJANGO_SETTINGS_MODULE="toolbar_settings")
    with running([sys.executable, "-m", *COMMANDS[kind]], own, log, lambda text: bool(address_in(text))):
        yield address_in(log.read_text())


def read(url: str) -> str:
    """The page at this URL."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def panel(address: str, view: str) -> tuple[str, list[str]]:
    """The panel's line in the side bar after a request to this view, and the cells and paragraphs of the panel."""
    page = read(f"{address}/{view}")
    request = re.search(r'data-request-id="(\w+)"', page)
    assert request
    button = re.search(r'id="djdt-M2MPanel".*?<small>(.*?)</small>', page, re.DOTALL)
    assert button
    shown = json.loads(read(f"{address}/__debug__/render_panel/?request_id={request[1]}&panel_id=M2MPanel"))["content"]
    cells = re.findall(r"<(?:td|p)>(.*?)</(?:td|p)>", shown, re.DOTALL)
    return button[1], [unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in cells]


@pytest.mark.parametrize(("kind", "views"), [("wsgi", ["shop", "shop"]), ("asgi", ["ashop", "shop", "ashop"])])
def test_the_calls_of_a_request_and_what_their_token_cost(
    server: FakeAuthorizationServer, tmp_path: Path, kind: str, views: list[str]
) -> None:
    """The first request mints its token, the others use the held one; no token, secret or query is shown."""
    api = f"{server.base_url}/api"
    with project(kind, server, tmp_path) as address:
        first, *others = (panel(address, f"{view}?api={quote(api)}") for view in views)
    for subtitle, cells in (first, *others):
        origin = "minted by this request" if cells is first[1] else "held by this process"
        get, post = cells[:7], cells[7:14]
        assert subtitle.startswith("2 calls")
        assert (get[:3], get[6]) == (["billing", f"GET {api}/invoices", "200"], origin)
        assert (post[:3], post[6]) == (["billing", f"POST {api}/orders", "200"], origin)
        for call in (get, post):
            assert re.fullmatch(r"\d+\.\d ms", call[3])
            assert re.fullmatch(r"[0-9a-f]{8}", call[4])
            assert re.fullmatch(r"\d+\.\d s", call[5])
    assert re.fullmatch(r"2 calls, 1 minted in \d+\.\d ms", first[0])
    assert first[1][14:17] == ["billing", "minted (cold)", first[1][4]]
    assert all(cells[14:] == ["Nothing: the process held all of them."] for _, cells in others)
    assert server.mints == 1
    sent = server.api_calls[0].headers["authorization"].removeprefix("Bearer ")
    assert sent not in repr((first, others))
    assert "s3cret" not in repr((first, others))


def test_a_second_try_and_a_request_without_calls(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """A refused token makes two calls and a mint; a view without calls has none. A URL is escaped."""
    with project("wsgi", server, tmp_path) as address:
        subtitle, cells = panel(address, "refused")
        idle = panel(address, "idle")
    assert cells[:3] == ["stock", "GET https://stock.example/%3Cscript%3E", "401"]
    assert cells[5:10] == ["60.0 s", "minted by this request", *cells[:2], "200 (second try, with another token)"]
    assert cells[12:14] == ["0.0 s", "minted by this request"]
    assert [cells[number] for number in (15, 19, 23)] == ["minted (cold)", "refused by an API", "minted (rejected)"]
    assert subtitle.startswith("2 calls, 2 minted")
    assert idle == ("0 calls", ["This request made no call with a token that was answered.", *idle[1][1:]])


def test_the_panel_in_a_browser(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """Click the panel in the side bar, and read the two calls; no script fails."""
    with project("wsgi", server, tmp_path) as address, browser(1280) as driver:
        driver.get(f"{address}/shop?api={quote(server.base_url + '/api')}")
        # The toolbar lives in a shadow root.
        root = driver.find_element(By.ID, "djDebugRoot").shadow_root
        button = WebDriverWait(driver, 30).until(lambda _: root.find_element(By.CSS_SELECTOR, "a.M2MPanel"))
        assert "2 calls, 1 minted in " in button.text
        button.click()
        WebDriverWait(driver, 30).until(lambda _: root.find_elements(By.CSS_SELECTOR, "#M2MPanel td"))
        panel = root.find_element(By.ID, "M2MPanel")
        lines = [" ".join(line.text.split()) for line in panel.find_elements(By.CSS_SELECTOR, "tbody tr")]
        assert len(lines) == 3
        assert lines[0].startswith(f"billing GET {server.base_url}/api/invoices 200 ")
        assert lines[0].endswith("minted by this request")
        assert " minted (cold) " in lines[2]
        if os.environ.get("M2M_SCREENSHOTS"):
            driver.get_screenshot_as_file(f"{os.environ['M2M_SCREENSHOTS']}/toolbar.png")
        assert [each for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []


def test_the_toolbar_is_not_imported_without_the_panel() -> None:
    """A project without the panel in its settings does not load the toolbar."""
    modules = "django_m2m_auth, django_m2m_auth.apps, django_m2m_auth.checks"
    script = f"import sys, {modules}; print('debug_toolbar' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
