"""The relay boards of an emulated rig: what their coils and registers do to its stations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_sim.plant import EvsePlant
from firmware_sim.relay import LimitInput, RelayBoard, RelaySpec
from firmware_sim.station import ChargingStation

SOURCE = "EMS"
"""Whose limit it is that comes in by a contact or a register."""


def board_of(
    spec: RelaySpec, stations: Mapping[str, ChargingStation], plants: Mapping[str, Mapping[int, EvsePlant]]
) -> RelayBoard:
    """Return a board that acts on the stations; the contactors in their supplies are open at first. Raises ValueError."""
    named = [*spec.supplies.values(), *(one.station for one in (*spec.contacts.values(), *spec.registers.values()))]
    unknown = sorted(set(named) - set(stations))
    if unknown:
        raise ValueError(f"relays: unknown station {unknown[0]!r}; known: {', '.join(stations)}")

    def supply(coil: int, closed: bool) -> None:
        for plant in plants[spec.supplies[coil]].values():
            plant.load_switch(closed)

    def limit(one: LimitInput, value: float | None) -> None:
        station = stations[one.station]
        if station.external is not None and station.powered:
            station.external.limit(value, one.unit, SOURCE, ())

    def moved(coil: int, closed: bool) -> None:
        if coil in spec.supplies:
            supply(coil, closed)
        if coil in spec.contacts:
            limit(spec.contacts[coil], spec.contacts[coil].limit if closed else None)

    coils = max([7, *spec.supplies, *spec.contacts]) + 1
    board = RelayBoard(coils, moved, watchdog_s=spec.watchdog_s, watchdog_register=spec.watchdog_register)

    def taking(one: LimitInput) -> Callable[[int], None]:
        return lambda value: limit(one, None if value == one.released else value * one.scale)

    for at, one in spec.registers.items():
        board.add_register(at, one.released, taking(one))
    for coil in spec.supplies:
        supply(coil, False)
    return board
