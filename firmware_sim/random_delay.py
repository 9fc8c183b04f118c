"""The random delay of a smart charge point: starts and planned changes wait for a random whole number of seconds.

Source: the UK's Electric Vehicles (Smart Charge Points) Regulations 2021, regulation 11: up to 600 s, settable up to 1800 s.
"""

from __future__ import annotations

import random
from typing import Final

from firmware_sim.device_model import StationVariables
from firmware_sim.seam import Seam

VARIABLE: Final = "RandomisedDelay"
"""Of SmartChargingCtrlr: the longest delay in s; this project's own name, OCPP has none."""
MOST_S: Final = 1800


class RandomDelay:
    """Says per EVSE until when what was decided has to wait."""

    def __init__(self, seed: int, station: str, variables: StationVariables, faults: Seam) -> None:
        self._random = random.Random(f"{seed}/{station}/delay")
        self._variables, self._faults = variables, faults
        self._until: dict[int, float] = {}

    def draw(self, evse_id: int, t: float) -> None:
        """Something starts or changes as planned at `t`: it waits, unless something waits already."""
        longest = self._variables.random_delay_s
        if longest and evse_id not in self._until:
            self._until[evse_id] = t + self._faults.apply("random_delay", longest, value=self._random.randint(0, longest))

    def waits(self, evse_id: int, t: float) -> bool:
        """Say whether an EVSE goes on as it was."""
        return t < self._until.get(evse_id, t) - 1e-6

    def due(self, evse_id: int, t: float) -> float:
        """Return when the wait is over; infinity where nothing waits."""
        return self._until[evse_id] if self.waits(evse_id, t) else float("inf")

    def end(self, evse_id: int | None = None) -> None:
        """Wait no more at one EVSE, or at all: the driver or a demand response overrides it."""
        if evse_id is None:
            self._until.clear()
        else:
            self._until.pop(evse_id, None)
