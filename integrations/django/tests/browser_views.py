"""The URLs of the project whose admin a real browser opens."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.http import HttpResponse
from django.urls import path


def no_icon(request: Any) -> HttpResponse:
    """Browsers request it; a 404 would be an error in their log."""
    return HttpResponse(status=204)


urlpatterns = [path("admin/", admin.site.urls), path("favicon.ico", no_icon), *staticfiles_urlpatterns()]
