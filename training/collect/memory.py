"""How much memory the collector took, for Scrapy's watch over it."""

from __future__ import annotations

import re
from pathlib import Path

from scrapy.extensions.memusage import MemoryUsage

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class OwnMemory(MemoryUsage):
    """Scrapy asks `getrusage`, whose peak is handed down from a large worker to the small process it starts."""

    def get_virtual_size(self) -> int:
        """Bytes, the peak of this program; 0 where the system does not tell."""
        try:
            found = _PEAK.search(Path("/proc/self/status").read_text())
        except OSError:
            return 0
        return int(found[1]) * 1024 if found else 0
