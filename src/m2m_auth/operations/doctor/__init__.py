"""Doctor: it examines each cache step by step, and lets two processes race for its lease."""

from .doctor import doctor
from .examination import Finding
from .race import OpenCache

__all__ = ["Finding", "OpenCache", "doctor"]
