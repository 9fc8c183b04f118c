"""The CPO's tariffs: told to those who receive them, listed for those who ask, and the price of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from bench.cso.ocpi.outbox import Meant, Outbox, Push, everyone
from bench.cso.ocpi.paging import Page
from bench.domain.tariff_cost import Component, Cost, Element, Period, PriceLimit, Restrictions, Tariff, cost_of
from bench.ports import Clock
from bench.settings.ocpi_site import PriceLimitSettings, RestrictionSettings, TariffSettings
from bench.wire.ocpi.tariffs import tariff_as
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text


@dataclass(frozen=True, slots=True)
class KnownTariff:
    """One tariff, and when it was last changed."""

    settings: TariffSettings
    last_updated: datetime


class Tariffs:
    """All tariffs by id; a change is told at once to each platform that receives tariffs."""

    def __init__(self, clock: Clock, own: PartyId, time_zone: str, outbox: Outbox, tariffs: Iterable[TariffSettings]) -> None:
        self._clock, self._own, self._zone, self._outbox = clock, own, ZoneInfo(time_zone), outbox
        self._created = self._named = clock.now()
        self.renamed: Callable[[], None] = lambda: None
        """Called when Connectors come to name other tariffs than before."""
        self._known = {one.id: KnownTariff(one, self._created) for one in tariffs}

    def put(self, tariff: TariffSettings) -> None:
        """Add a tariff or replace the one of the same id, and tell of it, and then of the Connectors that come to name it."""
        before = self.ids(self._clock.now())
        self._known[tariff.id] = KnownTariff(tariff, self._clock.now())
        self._outbox.tell(*self.due(tariff.id))
        self._rename(before)

    def remove(self, tariff_id: str) -> None:
        """Take a tariff away, and tell of it, once no Connector names it any more."""
        before = self.ids(self._clock.now())
        if self._known.pop(tariff_id, None) is not None:
            self._rename(before)
            self._outbox.tell(*self.due(tariff_id))

    def due(self, tariff_id: str) -> tuple[Push, Meant]:
        """Return the message that tells a tariff as it is, or that it is gone, and to whom it may be addressed."""
        known, path = self._known.get(tariff_id), (self._own.country_code, self._own.party_id, tariff_id)
        if known is None:
            return Push("tariffs", tariff_id, "DELETE", path, None), everyone
        return Push("tariffs", tariff_id, "PUT", path, partial(self._object, known)), everyone

    def listed(self, page: Page, version: str) -> list[dict[str, Any]]:
        """Return the tariffs that a page covers, in the order in which they were added."""
        return [self._object(one, version) for one in self._known.values() if page.covers(one.last_updated)]

    def ids(self, at: datetime) -> list[str]:
        """Return the ids of the tariffs that are valid at a moment, one per type at most: that is what a Connector names."""
        found: dict[str | None, str] = {}
        for one in self._known.values():
            if _valid(one.settings, at):
                found.setdefault(one.settings.type, one.settings.id)
        return list(found.values())

    def named_since(self, at: datetime) -> datetime:
        """Return since when Connectors name what they name at a moment: a tariff was put or removed, or its time came or went."""
        known = [one.settings for one in self._known.values()]
        bounds = [moment for one in known for moment in (one.start_date_time, one.end_date_time) if moment is not None]
        return max([self._named, *(one for one in bounds if one <= at)])

    def _rename(self, before: list[str]) -> None:
        self._named = self._clock.now()
        if self.ids(self._named) != before:
            self.renamed()

    def has_for(self, profile_type: str, at: datetime) -> bool:
        """Say whether a ProfileType has a tariff at a moment, as each that is supported must; without any, it needs none."""
        types = {one.settings.type for one in self._known.values() if _valid(one.settings, at)}
        return not types or None in types or (profile_type if profile_type == "REGULAR" else f"PROFILE_{profile_type}") in types

    def of_session(self, started: datetime, profile_type: str = "") -> TariffSettings | None:
        """Return the tariff of a session that starts now: a driver pays by what was valid when it began.

        The one of the chosen ProfileType if there is one, else the regular one, else one for all sessions.
        """
        valid = [one.settings for one in self._known.values() if _valid(one.settings, started)]
        wanted = ((f"PROFILE_{profile_type}",) if profile_type else ()) + ("REGULAR", None)
        return next((one for kind in wanted for one in valid if one.type == kind), None)

    def cost(self, tariff: TariffSettings, periods: Sequence[Period]) -> Cost:
        """Return what the periods of a session cost."""
        return cost_of(periods, self.priced(tariff))

    def priced(self, tariff: TariffSettings) -> Tariff:
        """Return a tariff as the calculation has it."""
        elements = tuple(
            Element(
                tuple(Component(part.type, part.price, part.vat, part.step_size) for part in one.price_components),
                _restrictions(one.restrictions),
            )
            for one in tariff.elements
        )
        return Tariff(elements, self._zone, tariff.tax_included, _limit(tariff.min_price), _limit(tariff.max_price))

    def told(self, tariff: TariffSettings, version: str) -> dict[str, Any]:
        """Return a tariff as it stands in a CDR: as it was when the session began, whatever it has become."""
        known = self._known.get(tariff.id)
        changed = known.last_updated if known is not None and known.settings == tariff else self._created
        return self._object(KnownTariff(tariff, changed), version)

    def _object(self, known: KnownTariff, version: str) -> dict[str, Any]:
        body = _plain(known.settings)
        body |= {"country_code": self._own.country_code, "party_id": self._own.party_id}
        return tariff_as(body | {"last_updated": utc_text(known.last_updated)}, version)


def _plain(tariff: TariffSettings) -> dict[str, Any]:
    """Return the settings as OCPI writes them: numbers as numbers, times as hh:mm, absent fields left out."""
    body = tariff.model_dump(exclude_none=True)
    for element in body["elements"]:
        element["price_components"] = [
            {name: float(value) if name in ("price", "vat") else value for name, value in part.items()}
            for part in element["price_components"]
        ]
        rules = {name: _told(value) for name, value in element.pop("restrictions", {}).items() if value != ()}
        element |= {"restrictions": rules} if rules else {}
    body["elements"] = list(body["elements"])
    for name in ("start_date_time", "end_date_time"):
        if name in body:
            body[name] = utc_text(body[name])
    for name in ("min_price", "max_price"):
        if name in body:
            body[name] = {key: float(value) for key, value in body[name].items()}
    return body


def _told(value: Any) -> Any:
    if hasattr(value, "strftime"):
        return value.strftime("%H:%M") if hasattr(value, "hour") else value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, int) else float(value)


def _restrictions(rules: RestrictionSettings | None) -> Restrictions | None:
    return None if rules is None else Restrictions(**rules.model_dump())


def _limit(limit: PriceLimitSettings | None) -> PriceLimit | None:
    return None if limit is None else PriceLimit(limit.before_taxes, limit.after_taxes)


def _valid(tariff: TariffSettings, at: datetime) -> bool:
    begin, end = tariff.start_date_time, tariff.end_date_time
    return (begin is None or begin <= at) and (end is None or at < end)
