"""Hours and days, in the units in which times are kept."""

from __future__ import annotations

from typing import Final

HOUR_MS: Final = 3600 * 1000
DAY_MS: Final = 24 * HOUR_MS
DAY_SECONDS: Final = 24 * 3600.0
