"""Make the table of TOKEN_CACHE, e.g. once per deployment. Harmless where it exists."""

from __future__ import annotations

import os

from m2m_auth.caches.dynamodb import DynamoDBTokenCache


def main() -> None:
    """Make it, and wait until it is there."""
    cache = DynamoDBTokenCache.from_url(os.environ["TOKEN_CACHE"])
    cache.create_table()
    cache.close()
    print(f"{cache!r} is ready")


if __name__ == "__main__":
    main()
