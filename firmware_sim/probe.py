"""The pilot probe: sees state and duty cycle at the plug, and what the EV wants, from the truth alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_sim.plant import EvsePlant, PilotView

PilotListener = Callable[[int, PilotView], None]


class PilotProbe:
    """Looks at the control pilots of one station, whatever the station reports."""

    def __init__(self, plants: Mapping[int, EvsePlant]) -> None:
        self._plants = plants
        self._listeners: list[PilotListener] = []
        self._seen = {evse_id: plant.look() for evse_id, plant in plants.items()}
        for evse_id, plant in plants.items():
            plant.subscribe(lambda evse_id=evse_id: self._changed(evse_id))  # type: ignore[misc]

    def look(self, evse_id: int) -> PilotView:
        """Return what is seen now. Raises KeyError for an EVSE that is not there."""
        return self._plants[evse_id].look()

    def subscribe(self, listener: PilotListener) -> Callable[[], None]:
        """Call `listener(evse_id, view)` at once after each change of state, duty or demand; return a function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self, evse_id: int) -> None:
        view = self._plants[evse_id].look()
        if view != self._seen[evse_id]:
            self._seen[evse_id] = view
            for listener in tuple(self._listeners):
                listener(evse_id, view)
