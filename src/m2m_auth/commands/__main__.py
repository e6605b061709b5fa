"""``python -m m2m_auth.commands`` is the command ``m2m-auth``."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
