"""The vendor's tests share a clock, and an issuer for callers that send a token."""

from issuer_fixtures import clock, issuer, verifier

__all__ = ["clock", "issuer", "verifier"]
