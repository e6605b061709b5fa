"""The tests' project for Celery; ``M2M_TEST_WHEN`` ``before``: the first token comes before the workers fork."""

from __future__ import annotations

import json
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")

import requests
from celery import Celery
from django_m2m_auth import m2m

app = Celery("django_celery")
app.conf.update(json.loads(os.environ["M2M_TEST_CELERY"]))


@app.task(name="call")
def call(url: str) -> tuple[int, int]:
    """Makes one call with a token; returns the process and the status."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = m2m["billing"].requests_auth()
        return os.getpid(), session.get(url, timeout=20).status_code


if os.environ.get("M2M_TEST_WHEN") == "before":
    m2m["billing"].source.token()
