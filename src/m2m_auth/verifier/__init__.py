"""The receiving side: whether the bearer token of a call is good, which client sent it, and what it may do.

>>> verifier = JWTVerifier("https://tenant.example", audience="https://api.example.com")   # doctest: +SKIP
>>> verifier.verify(bearer_token(request.headers.get("Authorization"))).require(scope="read")   # doctest: +SKIP

A :class:`BearerError` has the ``status``, ``headers`` and ``body`` of the answer. ``django_m2m_auth.receiving`` and
``flask_m2m_auth.receiving`` do all of this for their frameworks.
"""

from ..oauth2.bearer import (
    BearerError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    VerifierUnavailable,
    bearer_token,
    names,
)
from .introspection import IntrospectionVerifier
from .jwt_verifier import JWTVerifier
from .requirement import Requirement, caller_of
from .settings import LazyVerifier, verifier_from
from .verified_token import TokenVerifier, VerifiedToken

__all__ = [
    "BearerError",
    "IntrospectionVerifier",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "JWTVerifier",
    "LazyVerifier",
    "MissingToken",
    "Requirement",
    "TokenVerifier",
    "VerifiedToken",
    "VerifierUnavailable",
    "bearer_token",
    "caller_of",
    "names",
    "verifier_from",
]
