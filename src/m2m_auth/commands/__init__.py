"""The command ``m2m-auth``."""

from .main import main

__all__ = ["main"]
