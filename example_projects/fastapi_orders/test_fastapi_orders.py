"""The example as its README says it is run: one command, uvicorn's worker processes, and a load from many threads."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.processes

RUN = Path(__file__).resolve().with_name("run.py")


def test_one_mint_for_three_processes(start: Any, session: requests.Session) -> None:
    """300 calls over three processes are all answered, with one mint by the server's own count.

    The inventory refuses a call without a token, the same token may reserve, a process that uvicorn
    starts for a killed one finds the token, and Ctrl-C ends every process.
    """
    example = start(RUN)
    answers = example.load(example.printed["orders"], workers=3)
    assert {status for status, _ in answers} == {200}
    assert len(answers) == 3

    refused = session.get(example.printed["inventory"], timeout=60)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="m2m", scope="stock:read"'

    ordered = session.post(example.printed["orders"].replace("/articles/", "/orders/"), timeout=60)
    assert ordered.json() == {"article": "apple", "reserved": 1, "reserved_for": "orders"}

    before = {worker for _, worker in answers}
    os.kill(min(before), signal.SIGKILL)
    answers = example.load(example.printed["orders"], workers=1, known=before)
    assert {status for status, _ in answers} == {200}
    assert example.mints() == 1
    example.interrupt()


def test_smoke_of_the_orders(smoke: Any) -> None:
    """``--smoke`` says that one mint was enough, and ends with 0."""
    code, printed = smoke(RUN, "disk:")
    assert re.search(r"^mints +1, ", printed, re.MULTILINE), printed
    assert code == 0, printed
