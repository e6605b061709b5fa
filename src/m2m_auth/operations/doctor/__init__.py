"""The doctor: each cache is tried, and its lease is raced for."""

from .doctor import doctor
from .examination import Finding
from .race import OpenCache

__all__ = ["Finding", "OpenCache", "doctor"]
