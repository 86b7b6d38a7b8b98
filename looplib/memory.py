"""The largest memory of this process since a moment, mapped files that it read included."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = b"5"  # proc(5): resets the peak of the resident set


def forget_peak() -> None:
    """Begins anew; where the system cannot, the peak stays that of the whole process."""
    with suppress(OSError):
        _CLEAR.write_bytes(_RESET_PEAK)


def peak_bytes() -> int:
    """The largest resident set since then."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
