"""The tests' project for uWSGI, whose master loads this and forks; ``M2M_TEST_WHEN``: when the first token comes."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback

os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"

from django.core.wsgi import get_wsgi_application
from django_m2m_auth import m2m

application = get_wsgi_application()


def stacks() -> list[traceback.StackSummary]:
    """The stack of each thread."""
    return [traceback.extract_stack(frame) for frame in sys._current_frames().values()]


if os.environ["M2M_TEST_WHEN"] == "before":
    m2m["billing"].source.token()
if os.environ["M2M_TEST_WHEN"] == "during":
    threading.Thread(target=m2m["billing"].source.token, daemon=True).start()
    until = time.monotonic() + 30
    # uWSGI forks without waiting. So this waits until the flight waits for the answer, with no lock held.
    while not any(frame.name == "getresponse" for stack in stacks() for frame in stack):
        assert time.monotonic() < until
        time.sleep(0.001)
