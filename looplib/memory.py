"""The peak memory of this process, mapped files that it read included."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = b"5"  # proc(5): resets the peak of the resident set


def reset_peak() -> None:
    """Reset the peak; where the system cannot, it stays that of the whole process."""
    with suppress(OSError):
        _CLEAR.write_bytes(_RESET_PEAK)


def peak_bytes() -> int:
    """Return the largest resident set since the reset."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
