"""Resources with a lifetime that more than one part of the suite uses."""

from __future__ import annotations
