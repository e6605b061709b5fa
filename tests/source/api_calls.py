"""A resource server as the engine sees it: the steps of a front door, without HTTP, so that a day takes a second."""

from __future__ import annotations

from collections.abc import Callable

from engine_support import settle

from m2m_auth import AccessToken, TokenSource, TokenUnavailable
from m2m_auth.oauth2.origins import Origin
from m2m_auth.source.token_source import engine_of

API: Origin = ("https", "api.example", 443)
OTHER: Origin = ("https", "other.example", 443)
Takes = Callable[[str], bool]


def everything(_: str) -> bool:
    """An API that takes every token."""
    return True


def nothing(_: str) -> bool:
    """An API that refuses every token."""
    return False


def call(source: TokenSource, takes: Takes, origin: Origin = API) -> bool | None:
    """One call as a front door makes it: True where the API took a token; None where none was sent."""
    engine = engine_of(source)
    try:
        if not engine.is_ready():
            engine.refuse_banned_call(origin)
        token = source.token()
        works = _judged(source, token, takes, origin)
        if not works and (replacement := source.token()) != token:
            works = _judged(source, replacement, takes, origin)
    except TokenUnavailable:
        return None
    finally:
        settle(source)
    return works


def _judged(source: TokenSource, token: AccessToken, takes: Takes, origin: Origin) -> bool:
    engine, works = engine_of(source), takes(token.value)
    if not works:
        engine.reject(token, origin)
    elif engine.state.on_trial:
        engine.accepted(token, origin)
    settle(source)
    return works
