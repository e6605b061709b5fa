"""The shop's page and the admin, where *Service tokens* shows what the tokens do."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

from . import views

urlpatterns = [
    path("stock/<slug:article>", views.stock),
    path("admin/", admin.site.urls),
    path("static/<path:path>", serve, {"insecure": True}),  # in production: WhiteNoise, or the web server
]
