"""Plays one instance of the function: a process that starts cold, then answers one event at a time.

Events are lines of JSON on stdin, answers lines of JSON on stdout; the first line out says that it is up.
"""

from __future__ import annotations

import json
import sys

from handler import lambda_handler, session


def main() -> None:
    """Serve until there are no more events."""
    print(json.dumps({"up": True}), flush=True)
    for line in sys.stdin:
        try:
            answer = lambda_handler(json.loads(line), None)
        except Exception as error:  # Lambda's runtime reports it, too, and keeps the instance
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    session.close()


if __name__ == "__main__":
    main()
