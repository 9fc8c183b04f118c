"""Is this the meter that the rig file tells of: its plausible readings, its serial number, and the accuracy that follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.domain.meter import MeterReading, bare_number
from bench.errors import RigError
from bench.settings.instruments import AnyMeter
from bench.settings.meter import CLASS_PERCENT, UNITS, MeterMap
from bench.wire.registers import SLOTS, Function, text_of
from bench.wire.sunspec import find_meter

ReadRegisters = Callable[[Function, int, int], Awaitable[Sequence[int]]]
"""Gives so many registers from an address; raises RigError."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Registers whose content stays the same for as long as it is the same meter: those of its serial number."""

    function: Function
    address: int
    content: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A map with absolute addresses, and what the chain of SunSpec models tells of the device."""

    register_map: MeterMap
    model: str = ""
    serial_number: str = ""
    constant: Constant | None = None


async def locate(register_map: MeterMap, read: ReadRegisters) -> Located:
    """Look up where a SunSpec meter has its registers; other maps stay as they are. Raises RigError."""
    if register_map.sunspec is None:
        return Located(register_map, register_map.model)
    found = await find_meter(lambda address, count: read("holding", address, count), register_map.sunspec.models)
    model = f"{found.maker} {found.model}".strip() or register_map.model
    constant = Constant("holding", found.serial_at, found.serial_content) if found.serial_number else None
    return Located(register_map.at(found.base), model, found.serial_number, constant)


def check_plausible(name: str, register_map: MeterMap, reading: MeterReading) -> None:
    """Raise RigError where the probed quantity has no plausible value; of the voltages one is enough."""
    probe = register_map.probe
    what = probe.quantity.partition("_")[0]
    values = dict(
        zip(
            SLOTS,
            (
                *reading.voltage_v, *reading.current_a, *reading.phase_power_w,
                reading.power_w, reading.energy_import_wh, reading.frequency_hz,
            ),
            strict=True,
        )
    )  # fmt: skip
    looked = [key for key in values if key.startswith("voltage")] if what == "voltage" else [probe.quantity]
    seen = [value for key in looked if (value := values.get(key)) is not None]
    if not any(probe.low <= value <= probe.high for value in seen):
        dead = what == "voltage" and all(abs(value) < 1 for value in seen)
        behind = ". A meter behind an open contactor has no voltage to show: wire it before the contactor" if dead else ""
        shown = ", ".join(f"{value:g}" for value in seen) or "no value"
        unit = UNITS[what]
        raise RigError(
            f"meter {name} shows {shown} {unit} as {what}: plausible are {probe.low:g} to {probe.high:g} {unit}. "
            f"Is this meter really the {register_map.model} of its register map? Check unit_id, register_map and wiring{behind}"
        )


async def read_serial_number(register_map: MeterMap, read: ReadRegisters) -> tuple[str, Constant | None]:
    """Return the serial number as text and its registers; ("", None) where the map knows none or the meter does not tell it.

    It is asked twice: some meters tell only the first character at times (victronenergy/dbus-cgwacs).
    """
    where = register_map.serial_number
    for _ in range(2 if where is not None else 0):
        assert where is not None
        with suppress(RigError):
            content = tuple(await read(where.function, where.address, where.count))
            text = text_of(content, where.type, where.word_order)
            if len(text) > 1:
                return text, Constant(where.function, where.address, content)
    return "", None


def identity_of(
    name: str, settings: AnyMeter, register_map: MeterMap | None, serial_number: str, model: str = ""
) -> dict[str, Any]:
    """Return the data of a METER_IDENTITY document: the rig file's accuracy, unless another meter hangs there.

    Args:
        serial_number: what the meter tells; empty where it does not.
    """
    wanted = settings.serial_number
    differs = bool(wanted and serial_number and bare_number(wanted) != bare_number(serial_number))
    accuracy, certificate = None, ""
    if settings.accuracy is not None and not differs:
        accuracy = settings.accuracy.model_dump(mode="json")
        certificate = settings.accuracy.certificate
        reason = "as the rig file says"
    else:
        accuracy = data_sheet(register_map)
        source = register_map.accuracy.source if register_map is not None and register_map.accuracy is not None else ""
        reason = "what the rig file says is another meter's" if differs else "the rig file says nothing of it"
        reason += f"; data sheet: {source}" if source else "; no data sheet is known"
    if settings.certificate is not None and not differs:
        certificate = settings.certificate.number
        accuracy = {**(accuracy or {}), "certified": settings.certificate.model_dump(mode="json")}
        reason = f"at the points of its certificate, elsewhere {reason}"
    doubts = []
    if differs:
        doubts += [f"it tells serial number {serial_number}, the rig file {wanted}: what that says holds for another meter"]
    elif wanted and not serial_number:
        doubts += [f"that it has serial number {wanted} was not checked: the meter does not tell it"]
    elif certificate and not wanted:
        doubts += [f"that it is the one of certificate {certificate} was not checked: the rig file has no serial_number for it"]
    if accuracy is None:
        doubts += ["its accuracy is not known, so nothing can be judged by it"]
    doubt = "; ".join(doubts)
    if wanted and serial_number and not differs:
        reason += f"; serial number {wanted} found"
    return {
        "meter": name,
        "model": model or (register_map.model if register_map is not None else ""),
        "serial_number": serial_number,
        "certificate": certificate,
        "accuracy": accuracy,
        "energy_step_wh": settings.energy_step_wh or (register_map.energy_step_wh if register_map is not None else 0.0),
        "reason": reason,
        "doubt": doubt,
    }


def data_sheet(register_map: MeterMap | None) -> dict[str, Any] | None:
    """Return the data sheet's accuracy in the form of the rig file's; None where the map has none.

    A share of the range is an error of the same size at each reading. A quantity of which the data sheet says nothing is None.
    """
    if register_map is None or register_map.accuracy is None:
        return None
    sheet = register_map.accuracy
    power = sheet.power_percent if sheet.power_percent is not None else CLASS_PERCENT.get(sheet.energy_class)
    return {
        "current_percent": sheet.current_percent,
        "power_percent": power,
        "current_resolution_a": register_map.resolution("current"),
        "power_resolution_w": register_map.resolution("power"),
        "current_offset_a": sheet.current_range_percent / 100 * sheet.current_range_a,
        "power_offset_w": sheet.power_range_percent / 100 * sheet.power_range_w,
        "certificate": "",
    }
