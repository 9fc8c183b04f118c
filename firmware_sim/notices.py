"""What the station tells of its own accord about limits and EV schedules. Source: OCPP 2.0.1 Part 2, SC.02, SC.03."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firmware_sim.outbox import Outbox
from firmware_sim.seam import Seam


class Notices:
    """Sends NotifyChargingLimit, ClearedChargingLimit, NotifyEVChargingNeeds and NotifyEVChargingSchedule."""

    def __init__(self, outbox: Outbox, faults: Seam) -> None:
        self._outbox, self._faults = outbox, faults

    @property
    def online(self) -> bool:
        """Whether the CSMS can be told something now."""
        return self._outbox.open

    def put(self, payload: Any, *, answered: Callable[[Any], None] | None = None, lost: Callable[[], None] | None = None) -> None:
        """Say it. `answered` gets the answer, None for a CALLERROR; `lost` is called when the link took it away unanswered.

        These are no transaction messages, so that none is queued (E04.FR.01): who wants the CSMS to know sends again later.
        """
        changed = self._faults.apply("notice", value=payload)
        if changed is None:
            return

        def over(answer: Any) -> None:
            if answer is None and not self._outbox.open:
                if lost:
                    lost()
            elif answered:
                answered(answer)

        self._outbox.put(changed, answered=over)
