"""A panel for django-debug-toolbar: the calls of a request that carried a token, and what the tokens cost.

``DEBUG_TOOLBAR_PANELS = [*PANELS_DEFAULTS, "django_m2m_auth.panel.M2MPanel"]``. Nothing else imports this module.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from debug_toolbar.panels import Panel

from m2m_auth import Call, Event, watch_calls

__all__ = ["M2MPanel"]

_COSTS = {
    "minted": "minted ({reason})",
    "adopted": "taken from the shared cache",
    "lease_wait": "waited for another process to mint",
    "renewal_failed": "no new token ({reason})",
    "cache_fault": "the shared cache fails ({reason})",
    "rejected": "refused by an API",
}
"""The events that the panel shows, and their text."""
_WAITED = 0.05
"""Seconds. The panel shows longer waits only; a free lease takes less."""
_FROM = {"minted": "minted by this request", "adopted": "shared cache"}


class M2MPanel(Panel):
    """Each outbound call with a token: its URL, status and time, and the age and origin of its token.

    It shows no token, no secret and no query. It does not see calls of threads that the view starts itself.
    """

    title = "Service tokens"
    template = "django_m2m_auth/panel.html"
    is_async = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seen: list[Call | Event] = []
        self._recording: AbstractContextManager[None] | None = None

    @property
    def nav_subtitle(self) -> str:
        """How many calls, and how many mints they took."""
        stats: dict[str, Any] = self.get_stats()  # type: ignore[no-untyped-call] # the toolbar has no types
        calls, minted = len(stats.get("calls", ())), stats.get("minted", 0)
        called = f"{calls} call{'' if calls == 1 else 's'}"
        return f"{called}, {minted} minted in {stats['mint_time']}" if minted else called

    def enable_instrumentation(self) -> None:
        """Starts to record calls and events, in the middleware's own context, which views and their tasks inherit."""
        if self._recording is None:
            self._recording = watch_calls(self._seen.append)
            self._recording.__enter__()

    def disable_instrumentation(self) -> None:
        """Stops recording."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.__exit__(None, None, None)

    def generate_stats(self, request: Any, response: Any) -> None:  # noqa: ARG002
        """Stores texts and numbers only: the toolbar keeps them as JSON."""
        seen = list(self._seen)
        events = [each for each in seen if isinstance(each, Event)]
        origins = {event.fingerprint: _FROM[event.kind] for event in events if event.kind in _FROM}
        minted = [event.seconds for event in events if event.kind == "minted"]
        self.record_stats(  # type: ignore[no-untyped-call]
            {
                "calls": [_call(each, origins) for each in seen if isinstance(each, Call)],
                "costs": [_cost(event) for event in events if _is_shown(event)],
                "minted": len(minted),
                "mint_time": _milliseconds(sum(minted)),
            }
        )


def _call(call: Call, origins: dict[str, str]) -> dict[str, Any]:
    return {
        "client": call.alias or call.client_id,
        "method": call.method,
        "url": call.url,
        "status": call.status,
        "again": call.again,
        "time": _milliseconds(call.seconds),
        "token": call.fingerprint,
        "age": "" if call.age is None else f"{call.age:.1f} s",
        "origin": origins.get(call.fingerprint, "held by this process"),
    }


def _is_shown(event: Event) -> bool:
    return event.kind in _COSTS and (event.kind != "lease_wait" or event.seconds >= _WAITED)


def _cost(event: Event) -> dict[str, Any]:
    return {
        "client": event.alias or event.client_id,
        "what": _COSTS[event.kind].format(reason=event.reason),
        "token": event.fingerprint,
        "time": _milliseconds(event.seconds) if event.seconds else "",
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
