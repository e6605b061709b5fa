"""The admin page "Service tokens": what every client's token is doing, with buttons to renew and clear it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import mark_safe

from m2m_auth import M2MAuthError
from m2m_auth.operations import PageForm, clear, page, renew, reports

from .clients import m2m
from .models import ServiceToken

__all__ = ["ServiceTokenAdmin"]


@admin.register(ServiceToken)
class ServiceTokenAdmin(admin.ModelAdmin):  # type: ignore[misc] # Django has no types
    """One page, which reads no table. Who may view it sees it; who may change gets the buttons."""

    def get_urls(self) -> list[Any]:
        """The one page, where the admin expects the list of objects."""
        return [path("", self.admin_site.admin_view(self.changelist_view), name="m2m_auth_servicetoken_changelist")]

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002
        """There is nothing to add: clients are settings."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """There is nothing to delete: tokens are cleared."""
        return False

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """Shows the page; a POST renews or clears, and comes back to it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            if not self.has_change_permission(request):
                raise PermissionDenied
            self._operate(request)
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:m2m_auth_servicetoken_changelist"))
        buttons = (
            PageForm(url="", hidden={"csrfmiddlewaretoken": get_token(request)})
            if self.has_change_permission(request)
            else None
        )
        context = {
            **self.admin_site.each_context(request),
            "title": "Service tokens",
            "opts": self.opts,
            "problem": "",
            **(extra_context or {}),
        }
        try:
            body = page(reports(m2m.sources()), action=buttons, nonce=str(getattr(request, "csp_nonce", "") or ""))
            context["page"] = mark_safe(body)  # noqa: S308 - page() escapes what it is given
        except ImproperlyConfigured as error:
            context["problem"] = str(error)
        return TemplateResponse(request, "admin/m2m_auth/service_tokens.html", context)

    def _operate(self, request: Any) -> None:
        operation, alias = request.POST.get("operation"), request.POST.get("alias", "")
        try:
            if operation == "renew":
                self._say(request, messages.SUCCESS, f"New token for {alias}: {renew(m2m[alias].source).fingerprint}.")
            elif operation == "clear":
                clear(m2m[alias].source)
                self._say(request, messages.SUCCESS, f"Cleared {alias}: the next call mints.")
            else:
                self._say(request, messages.ERROR, "There is no such operation.")
        except (ImproperlyConfigured, M2MAuthError) as error:
            self._say(request, messages.ERROR, f"It did not work for {alias}: {error}")

    def _say(self, request: Any, level: int, words: str) -> None:
        self.message_user(request, words, level)
