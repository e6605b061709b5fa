"""What importing costs on top of the HTTP library, and what it must not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from measure import HERE, Row, child_environment, run_process, taking_turns
from server import Server

PROCESSES = 15
FORBIDDEN = "requests httpx httpx2 django flask diskcache redis jwt cryptography anyio trio asyncio concurrent.futures"
_ADDED = """
import sys, time
import {library}
begin = time.process_time()
import {module}
print(time.process_time() - begin)
"""


def rows(server: Server) -> Iterator[Row]:
    for library in ("requests", "httpx", "httpx2"):
        module = f"m2m_auth.{library}"
        yield Row(f"import {module} after import {library}", added(module, library) * 1000, "ms", 10)
        both = taking_turns(lambda m=module: _process(m), lambda m=library: _process(m), PROCESSES)  # type: ignore[misc]
        value = median(a - b for a, b in both) * 1000
        yield Row("  the same as whole processes, one minus the other", value, "ms", note="processor time")
    loaded = _output(f"import sys, m2m_auth; print(*(set(sys.modules) & set('{FORBIDDEN}'.split())))").split()
    yield Row("import m2m_auth: unwanted modules it loads", len(loaded), "", 0, " ".join(loaded))


def added(module: str, library: str, processes: int = PROCESSES) -> float:
    """Seconds of processor time that importing ``module`` takes where ``library`` is imported already; a median."""
    program = _ADDED.format(module=module, library=library)
    _output(program)
    return median(float(_output(program)) for _ in range(processes))


def _process(module: str) -> float:
    return run_process("-c", f"import {module}").cpu


def _output(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=HERE, env=child_environment(), check=True, capture_output=True, text=True
    ).stdout
