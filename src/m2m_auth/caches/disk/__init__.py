"""The disk cache, and an existing diskcache as a token cache."""

from .disk_token_cache import DiskTokenCache

__all__ = ["DiskTokenCache"]
