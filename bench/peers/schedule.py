"""`--schedule KIND:VALUE`: what a mock peer sends for each new session."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.errors import UsageError
from bench.peers.plan import brought_to, flat, plan_day_ahead, plan_solar
from bench.settings.base import load
from bench.settings.scenario import PriceCurve
from bench.settings.surplus import SurplusCurve
from bench.wire.ocpi.checks import check_charging_profile

FORMS: Final = "flat:11000W, flat:16A, price:FILE, solar:FILE or file:FILE"
_DAY_S: Final = 86_400
Schedule = Callable[[datetime], dict[str, Any]]
"""(now) -> ChargingProfile. Raises UsageError."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan by prices has to reach."""

    energy_wh: float = 10_000.0
    hours: float = 12.0
    """Until departure."""
    levels_w: tuple[float, ...] = (11_000.0,)


def schedule(text: str, need: Need) -> Schedule:
    """Return the builder of a schedule; files are read and checked at once. Raises UsageError."""
    kind, _, value = text.partition(":")
    if kind == "flat":
        limit = re.fullmatch(r"(\d+(?:\.\d+)?)([WA])", value)
        if limit is None:
            raise UsageError(f"--schedule {text}: must be such as flat:11000W or flat:16A")
        return lambda now: flat(float(limit[1]), limit[2], now.replace(microsecond=0))
    if kind in ("price", "solar", "file") and not value:
        raise UsageError(f"--schedule {text}: needs a file")
    if kind == "price":
        return _by_prices(load(PriceCurve, Path(value)), need)
    if kind == "solar":
        return _by_surplus(load(SurplusCurve, Path(value)))
    if kind == "file":
        profile = _read(Path(value))
        return lambda now: dict(profile)
    raise UsageError(f"--schedule {text}: must be {FORMS}")


def _by_prices(curve: PriceCurve, need: Need) -> Schedule:
    length_s = len(curve.prices) * curve.interval_s

    def build(now: datetime) -> dict[str, Any]:
        begin = brought_to(curve.start, length_s, now)
        again = begin != curve.start and length_s == _DAY_S  # no day that is known: the next one is taken to be like it
        prices = curve.prices * 2 if again else curve.prices
        departure = min(now + timedelta(hours=need.hours), begin + timedelta(seconds=len(prices) * curve.interval_s))
        return plan_day_ahead(
            prices, begin, start=now, departure=departure, levels_w=need.levels_w, energy_wh=need.energy_wh,
            interval_s=curve.interval_s,
        )  # fmt: skip

    return build


def _by_surplus(curve: SurplusCurve) -> Schedule:
    length_s = len(curve.surplus_w) * curve.interval_s

    def build(now: datetime) -> dict[str, Any]:
        begin = brought_to(curve.start, length_s, now)
        if begin + timedelta(seconds=length_s) <= now:
            begin += timedelta(days=1)
        return plan_solar(curve.surplus_w, begin, start=now, interval_s=curve.interval_s, least_w=curve.least_w)

    return build


def _read(path: Path) -> dict[str, Any]:
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from None
    wrong = check_charging_profile(profile)
    if wrong:
        raise UsageError(f"{path}: {wrong[0].text}")
    assert isinstance(profile, dict)
    return profile
