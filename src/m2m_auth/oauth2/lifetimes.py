"""How long a token lives, by what its server says: ``expires_in`` (RFC 6749 §5.1), an end, or a JWT's own claims."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from .answer_body import by_name, plain_name
from .answer_rules import DEFAULT_ANSWERS, UNIT_SECONDS, AnswerRules
from .dates import unix_seconds, unix_time

__all__ = ["UNSAID", "Lifetime", "granted_lifetime", "jwt_claims"]

UNSAID = "no expires_in"
"""Why the default was taken where the answer says nothing of the token's end."""
_ENDS = (
    *("expiresat", "expireson", "expires", "expiration", "expiry", "expire", "expiretime", "expirationtime"),
    *("expirydate", "expirationdate", "exp"),
)
"""What servers name the end of a token, which RFC 6749 does not have: Azure ``expires_on``, IBM ``expiration``, Google
``expireTime``, OWIN ``.expires``. As plain names: ``expiresAt`` is ``expires_at``."""


class Lifetime(NamedTuple):
    """The life of one token."""

    seconds: float
    """Counted from the moment when the request was sent; more than 0, and infinite for a token without an end."""
    assumed: str = ""
    """Why the default was taken, e.g. ``expires_in is 0 or less``; ``""`` where the server said it."""


def granted_lifetime(
    fields: Mapping[str, Any],
    claims: Mapping[str, Any],
    sent_at: float,
    default: float,
    *,
    rules: AnswerRules = DEFAULT_ANSWERS,
    date: str | None = None,
) -> Lifetime:
    """Return how long a token lives: by ``expires_in``, else an end such as ``expires_at``, else the JWT, else default.

    A JWT's ``exp`` shortens what the answer says, and never lengthens it. Text with a number in it is a number. What
    cannot be meant (0, a negative number, words) leads to the default: the token itself is good.

    Args:
        fields: the answer's fields.
        claims: the token's claims, as :func:`jwt_claims` gives them.
        sent_at: when the request was sent: Unix time in seconds.
        default: seconds.
        rules: the unit of ``expires_in``, and which value means no end.
        date: the answer's ``Date``: an end counts by the server's clock, if that leaves less of it.
    """
    by_jwt = _jwt_lifetime(claims, sent_at)
    said, why = _said(fields, sent_at, rules, date)
    if said is None and not why:
        said, why = by_jwt, UNSAID
    seconds = default if said is None else said
    return Lifetime(seconds if by_jwt is None else min(seconds, by_jwt), why if said is None else "")


def _said(fields: Mapping[str, Any], sent_at: float, rules: AnswerRules, date: str | None) -> tuple[float | None, str]:
    """The seconds by the answer's own fields, or None and what is wrong with them; ``""`` where there are none."""
    why, named = "", by_name(fields)
    for plain in ("expiresin", *_ENDS):
        value = named.get(plain)
        if value is None:
            continue
        name = "expires_in" if plain == "expiresin" else next(name for name in fields if plain_name(name) == plain)
        number = _number(value)
        never = rules.never_expires
        if never is not None and (never in (value, number) or (number is not None and _number(never) == number)):
            return math.inf, ""
        if name == "expires_in":
            seconds = None if number is None else _from_now(number * UNIT_SECONDS[rules.lifetime_unit], sent_at)
            if number is None:
                seconds = _until(value, sent_at, date)
            wrong = "no number" if number is None else "0 or less"
        else:
            seconds, wrong = _until(value, sent_at, date), "no time to come"
        if seconds is not None:
            return seconds, ""
        why = why or f"{name} is {wrong}"
    return None, why


def _from_now(seconds: float, sent_at: float) -> float | None:
    """The ``expires_in``; a few servers put the Unix time of the end there. None unless it is positive."""
    end = unix_seconds(seconds)
    if end is not None and end > sent_at:
        return end - sent_at
    return seconds if seconds > 0 else None


def _until(value: object, sent_at: float, date: str | None) -> float | None:
    """The seconds until an end: a Unix time in seconds or milliseconds, a date, or a small number of seconds."""
    end = _number(value)
    if end is None and isinstance(value, str):
        end = unix_time(value)
    if end is None or end <= 0:
        return None
    moment = unix_seconds(end)
    if moment is None:
        return end
    # The server's clock may be wrong, and so may this one: the shorter life is the safe one.
    clocks = (sent_at, unix_time(date) if date else None)
    return min((moment - clock for clock in clocks if clock is not None and moment > clock), default=None)


def _number(value: object) -> float | None:
    """A JSON number, or the text of one, as a float that may be infinite; None for anything else, such as a bool.

    ``3600s`` is the text of a duration in JSON that comes from protocol buffers.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value.strip().removesuffix("s") if isinstance(value, str) else value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf if cast("int", value) > 0 else -math.inf
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _jwt_lifetime(claims: Mapping[str, Any], sent_at: float) -> float | None:
    """``exp - iat``, both by the server's clock. Without ``iat``: ``exp`` minus the time of the request.

    Servers cut ``iat`` to whole seconds, which makes a token look up to a second longer than it is. So ``exp`` counts
    from the request where ``iat`` is less than a second before it: there the two clocks agree.
    """
    exp, iat = _number(claims.get("exp")), _number(claims.get("iat", sent_at))
    if exp is None or iat is None or not math.isfinite(exp) or not math.isfinite(iat):
        return None
    lifetime = exp - (sent_at if 0 <= sent_at - iat < 1 else iat)
    return lifetime if lifetime > 0 else None


_LONGEST_CLAIMS = 65_536
"""Characters of a JWT's encoded claims that are read. Access tokens are shorter: servers cut headers at 8 to 64 kB."""


def jwt_claims(token: str) -> dict[str, Any]:
    """Return the claims of a token that is a signed JWT (RFC 7519 §7.2); of any other token, none.

    Nothing is raised, and the signature is not verified: the API does that.
    """
    parts = token.split(".", 3)
    if len(parts) != 3 or not token.startswith("eyJ") or len(parts[1]) > _LONGEST_CLAIMS:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}
