"""The verifiers' tests share a clock, an issuer and a verifier."""

from issuer_fixtures import clock, issuer, verifier

__all__ = ["clock", "issuer", "verifier"]
