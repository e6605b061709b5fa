"""The project whose admin a real browser opens, for gunicorn, with its database and an operator."""

from __future__ import annotations

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()

from django.contrib.auth.models import User  # noqa: E402 - Django is set up now

call_command("migrate", verbosity=0)
if not User.objects.exists():
    User.objects.create_superuser("ada", "ada@example.org", "correct horse")
