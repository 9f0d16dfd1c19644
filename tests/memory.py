"""How much memory a process has taken."""

import resource
import sys
from pathlib import Path


def own_peak() -> int:
    """The most memory that this process has held, in megabytes.

    Not RUSAGE_SELF where there is something better: a process inherits the peak of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)
