"""Control pilot: which current a duty cycle offers, and which duty cycle a limit becomes.

Source: IEC 61851-1, Annex A, Table A.7 (duty cycle to current). The pilot carries amperes per phase only.
"""

from __future__ import annotations

import math
from typing import Final

MIN_CURRENT_A: Final = 6.0
"""Nothing below can be offered: a limit in (0 A, 6 A) is a pause, never rounded up."""
MAX_CURRENT_A: Final = 80.0
DUTY_STEPS_PER_PERCENT: Final = 100
"""The generator's resolution: 0.01 percent, which is 0.006 A."""
_HIGH_BRANCH_A: Final = 52.5
_EPSILON: Final = 1e-9


def duty_for(limit_a: float) -> float | None:
    """Return the duty cycle in percent that offers the most current not above `limit_a` (A per phase).

    None means no PWM: the EV is paused. Between 51 A and 52.5 A nothing can be expressed, so 51 A is offered.
    """
    if limit_a + _EPSILON < MIN_CURRENT_A:
        return None
    limit_a = min(limit_a, MAX_CURRENT_A)
    duty = limit_a / 2.5 + 64 if limit_a >= _HIGH_BRANCH_A else min(limit_a, 51.0) / 0.6
    return math.floor(duty * DUTY_STEPS_PER_PERCENT + 1e-6) / DUTY_STEPS_PER_PERCENT


def current_for(duty_percent: float | None) -> float:
    """Return the current per phase in A that a duty cycle allows; 0 without PWM and for digital communication only."""
    if duty_percent is None or duty_percent < 8 or duty_percent > 97:
        return 0.0
    if duty_percent <= 10:
        return MIN_CURRENT_A
    if duty_percent <= 85:
        return 0.6 * duty_percent
    return min(MAX_CURRENT_A, 2.5 * (duty_percent - 64))
