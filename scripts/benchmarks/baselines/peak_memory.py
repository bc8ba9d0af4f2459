"""The peak memory of a process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_gb() -> float:
    """The peak memory of this process so far, in GB.

    On Linux it is read from /proc: `ru_maxrss` of a new process starts with the peak of the process that created it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        kilobytes = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(kilobytes) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def peak_mb() -> float:
    """The peak memory of this process so far, in MB."""
    return 1024 * peak_gb()
