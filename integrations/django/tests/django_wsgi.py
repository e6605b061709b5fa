"""The tests' project for gunicorn; ``M2M_TEST_WHEN`` is ``before``: the master gets the first token."""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

if os.environ.get("M2M_TEST_WHEN") == "before":
    from django_m2m_auth import m2m

    m2m["billing"].source.token()
