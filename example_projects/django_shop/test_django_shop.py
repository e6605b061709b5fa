"""The example as its README says it is run: one command, real gunicorns, and a load from many threads."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.processes

HERE = Path(__file__).resolve().parent
RUN = HERE / "run.py"


def test_one_mint_for_four_workers(start: Any, session: requests.Session) -> None:
    """300 calls over four workers are all answered, with one mint by the server's own count.

    The inventory refuses a call without a token; the operator's page and command show the token's state and mint none;
    a worker that gunicorn starts for a killed one finds the token; and Ctrl-C ends every process and leaves no file.
    """
    example = start(RUN)
    answers = example.load(example.printed["shop"], workers=4)
    assert {status for status, _ in answers} == {200}
    assert len(answers) == 4
    assert example.mints() == 1

    refused = session.get(example.printed["inventory"], timeout=60)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="m2m", scope="stock:read"'

    (client,) = json.loads(example.shell(f"exec '{sys.executable}' '{HERE}/manage.py' m2m_auth status --json"))
    assert (client["alias"], client["state"], client["mints"]["month"]) == ("inventory", "fresh", 1)
    assert client["fingerprint"] in operators_page(example.printed, session)
    assert example.mints() == 1

    before = {worker for _, worker in answers}
    os.kill(min(before), signal.SIGKILL)
    answers = example.load(example.printed["shop"], workers=1, known=before)
    assert {status for status, _ in answers} == {200}
    assert example.mints() == 1
    assert Path(example.printed["logs"]).with_name("shop.log").read_text().count("minted token") == 1
    example.interrupt()


def operators_page(printed: dict[str, str], session: requests.Session) -> str:
    """The admin's page "Service tokens", after a login as the operator."""
    url = printed["service tokens"]
    form = session.get(url, timeout=60)
    assert form.url != url, "the page needs a login"
    name, password = printed["user, password"].split()
    given = {"username": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    page = session.post(form.url, given, timeout=60)
    assert page.url == url
    style = re.search(r'href="(/static/admin/css/base[^"]*)"', page.text)
    assert style is not None
    assert session.get(url.partition("/admin/")[0] + style[1], timeout=60).status_code == 200
    return page.text


@pytest.mark.parametrize(("cache", "mints"), [("disk:", 1), ("memory:", 4)])
def test_smoke_of_the_shop(smoke: Any, cache: str, mints: int) -> None:
    """``--smoke`` ends with 0 where the workers share a token, and with 1 where each has its own."""
    code, printed = smoke(RUN, cache)
    assert re.search(rf"^mints +{mints}, ", printed, re.MULTILINE), printed
    assert code == (0 if mints == 1 else 1), printed
