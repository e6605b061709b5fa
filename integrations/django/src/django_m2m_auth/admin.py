"""The admin page "Service tokens": the state of every client's token, with buttons to renew and clear it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.response import TemplateResponse
from django.urls import path, reverse

from m2m_auth import M2MAuthError
from m2m_auth.operations import PageForm, clear, page, renew, reports

from .clients import m2m
from .models import ServiceToken

__all__ = ["ServiceTokenAdmin"]


@admin.register(ServiceToken)
class ServiceTokenAdmin(admin.ModelAdmin):  # type: ignore[misc] # Django has no types
    """One page, which reads no table. It needs the permission to view; the buttons need the permission to change."""

    def get_urls(self) -> list[Any]:
        """The one page, at the place of the admin's list of objects."""
        return [path("", self.admin_site.admin_view(self.changelist_view), name="m2m_auth_servicetoken_changelist")]

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002
        """False: clients are settings, so there is nothing to add."""
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        """False: tokens are cleared, not deleted."""
        return False

    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """Shows the page. A POST renews or clears, and redirects to the page."""
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
            nonce = str(getattr(request, "csp_nonce", "") or "")
            context["page"] = page(reports(m2m.sources()), action=buttons, nonce=nonce)
        except ImproperlyConfigured as error:
            context["problem"] = str(error)
        return TemplateResponse(request, "admin/m2m_auth/service_tokens.html", context)

    def _operate(self, request: Any) -> None:
        operation, alias = request.POST.get("operation"), request.POST.get("alias", "")
        try:
            if operation == "renew":
                token = renew(m2m[alias].source)
                self._message(request, messages.SUCCESS, f"New token for {alias}: {token.fingerprint}.")
            elif operation == "clear":
                clear(m2m[alias].source)
                self._message(request, messages.SUCCESS, f"Cleared {alias}: the next call mints.")
            else:
                self._message(request, messages.ERROR, "Unknown operation.")
        except (ImproperlyConfigured, M2MAuthError) as error:
            self._message(request, messages.ERROR, f"Failed for {alias}: {error}")

    def _message(self, request: Any, level: int, text: str) -> None:
        """Shows a message on the next page. The admin capitalizes it, so it does not begin with an alias."""
        self.message_user(request, text, level)
