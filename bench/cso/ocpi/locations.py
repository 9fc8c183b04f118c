"""The one Location of the rig: its EVSEs with their status from OCPP, told as it changes and listed for those who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from bench.cso.ocpi.outbox import Body, Meant, Outbox, Push, everyone
from bench.cso.ocpi.record import evse_uid
from bench.cso.ocpi.tariffs import Tariffs
from bench.ports import Clock
from bench.settings.rig import EvseSettings, RigSettings, StationSettings
from bench.wire.ocpi.transport import PartyId
from bench.wire.ocpi.types import utc_text

_BY_CONNECTOR: Final = {
    "Available": "AVAILABLE", "Occupied": "CHARGING", "Reserved": "RESERVED", "Unavailable": "INOPERATIVE",
    "Faulted": "OUTOFORDER",
}  # fmt: skip
"""ConnectorStatusEnumType to Status; CHARGING is OCPI's word for "in use"."""
_WORST: Final = ("OUTOFORDER", "INOPERATIVE", "CHARGING", "RESERVED", "AVAILABLE")
"""Of several connectors: an EVSE charges on one at a time, so that one counts."""

_NEAREST_IN_2_2_1: Final = {"MCS": "IEC_62196_T2_COMBO", "SAE_J3400": "TESLA_S"}
"""ConnectorType is a closed list there, and lacks these: the other big DC plug, and the plug of the same shape."""


@dataclass(slots=True)
class _Place:
    """One EVSE."""

    station: StationSettings
    evse: EvseSettings
    changed: datetime
    connectors: dict[int, str] = field(default_factory=dict)
    transactions: set[str] = field(default_factory=set)
    online: bool = False
    status: str = "UNKNOWN"

    @property
    def uid(self) -> str:
        """Return the uid, the same as in Sessions."""
        return evse_uid(self.station.id, self.evse.id)

    def seen(self) -> str:
        """Return the status that follows from what the station has told: UNKNOWN while it is offline."""
        if not self.online:
            return "UNKNOWN"
        if self.transactions:
            return "CHARGING"
        told = {_BY_CONNECTOR.get(one, "UNKNOWN") for one in self.connectors.values()}
        return next((one for one in _WORST if one in told), "UNKNOWN")


class Locations:
    """The Location object and its parts."""

    def __init__(self, clock: Clock, own: PartyId, rig: RigSettings, tariffs: Tariffs, outbox: Outbox) -> None:
        self._clock, self._own, self._rig, self._tariffs, self._outbox = clock, own, rig, tariffs, outbox
        self._created = clock.now()
        places = [_Place(station, evse, self._created) for station in rig.station for evse in station.evse]
        self._places = {(one.station.id, one.evse.id): one for one in places}
        tariffs.renamed = self._renamed

    @property
    def location_id(self) -> str:
        """Return the Location's id."""
        return self._rig.name[:36]

    @property
    def last_updated(self) -> datetime:
        """Return when the Location, one of its EVSEs or one of their Connectors last changed."""
        return max([self._created, *(self._changed(one) for one in self._places.values())])

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the CSMS, and tell each EVSE whose status it changed."""
        kind = event["event"]
        for place in self._places.values():
            if place.station.id != event["station"]:
                continue
            if kind in ("connected", "disconnected"):
                place.online = kind == "connected"
            elif event.get("evse") != place.evse.id:
                continue
            elif kind == "status":
                place.connectors[event["connector"]] = event["status"]
            elif kind == "transaction" and event["phase"] == "Ended":
                place.transactions.discard(event["transaction_id"])
            elif kind == "transaction":
                place.transactions.add(event["transaction_id"])
            self._told(place)

    def location(self, version: str) -> dict[str, Any]:
        """Return the whole Location."""
        site = self._rig.ocpi.location
        found: dict[str, Any] = {
            "country_code": self._own.country_code,
            "party_id": self._own.party_id,
            "id": self.location_id,
            "publish": site.publish,
            "name": site.name,
            "address": site.address,
            "city": site.city,
            "country": site.country,
            "coordinates": {"latitude": site.latitude, "longitude": site.longitude},
            "time_zone": site.time_zone,
            "evses": [self._evse(one, version) for one in self._places.values()],
            "last_updated": utc_text(self.last_updated),
        }
        if site.postal_code:
            found["postal_code"] = site.postal_code
        if site.help_phone and version != "2.2.1":
            found["help_phone"] = site.help_phone
        return found

    def part(self, version: str, location_id: str, uid: str = "", connector_id: str = "") -> dict[str, Any] | None:
        """Return the Location, an EVSE of it or a Connector of that; None where there is no such thing. Ids are CiStrings."""
        if location_id.casefold() != self.location_id.casefold():
            return None
        if not uid:
            return self.location(version)
        place = next((one for one in self._places.values() if one.uid.casefold() == uid.casefold()), None)
        if place is None:
            return None
        evse = self._evse(place, version)
        if not connector_id:
            return evse
        connectors: list[dict[str, Any]] = evse["connectors"]
        return next((one for one in connectors if one["id"] == connector_id), None)

    def connector(self, station: str, evse_id: int, version: str) -> dict[str, Any] | None:
        """Return the first Connector of an EVSE, for a CDR."""
        place = self._places.get((station, evse_id))
        return None if place is None else self._connector(place, 1, version)

    def _capabilities(self, place: _Place) -> list[str]:
        preferences = ["CHARGING_PREFERENCES_CAPABLE"] if self._rig.ocpi.preferences is not None else []
        lacking = () if place.station.features.smart_charging else ("CHARGING_PROFILE_CAPABLE",)
        return [one for one in (*self._rig.ocpi.location.capabilities, *preferences) if one not in lacking]

    def _changed(self, place: _Place) -> datetime:
        """Return when an EVSE or one of its Connectors last changed."""
        return max(place.changed, self._tariffs.named_since(self._clock.now()))

    def _renamed(self) -> None:
        """Tell the Connectors of each EVSE, which name other tariffs now."""
        for place in self._places.values():
            self._outbox.tell(self._push(place, "PATCH", partial(self._connectors, place)))

    def _connectors(self, place: _Place, version: str) -> dict[str, Any]:
        evse = self._evse(place, version)
        return {name: evse[name] for name in ("connectors", "last_updated")}

    def _told(self, place: _Place) -> None:
        status = place.seen()
        if status == place.status:
            return
        place.status, place.changed = status, self._clock.now()
        change = {"status": status, "last_updated": utc_text(place.changed)}
        self._outbox.tell(self._push(place, "PATCH", lambda version: change))

    def due(self, uid: str) -> tuple[Push, Meant] | None:
        """Return the message that tells an EVSE as it is, and to whom it may be addressed; None where there is no such EVSE."""
        place = next((one for one in self._places.values() if one.uid == uid), None)
        return None if place is None else (self._push(place, "PUT", lambda version: self._evse(place, version)), everyone)

    def _push(self, place: _Place, method: str, body: Body) -> Push:
        path = (self._own.country_code, self._own.party_id, self.location_id)
        site = Push("locations", place.uid, "PUT", path, self.location)  # who does not know the EVSE may not know the Location
        return Push("locations", place.uid, method, (*path, place.uid), body, site)

    def _evse(self, place: _Place, version: str) -> dict[str, Any]:
        return {
            "uid": place.uid,
            "status": place.status,
            "capabilities": self._capabilities(place),
            "connectors": [self._connector(place, number + 1, version) for number in range(place.evse.connectors)],
            "last_updated": utc_text(self._changed(place)),
        }

    def _connector(self, place: _Place, number: int, version: str) -> dict[str, Any]:
        site, features = self._rig.ocpi.location, place.station.features
        direct = features.current_type == "DC"
        phases = min(features.supply_phases, len(place.evse.phases))
        voltage, amperes = features.nominal_voltage_v, place.evse.max_current_a
        found: dict[str, Any] = {
            "id": str(number),
            "standard": _standard(site.standard or ("IEC_62196_T2_COMBO" if direct else "IEC_62196_T2"), version),
            "format": "CABLE" if direct else site.format,
            "power_type": "DC" if direct else {1: "AC_1_PHASE", 2: "AC_2_PHASE"}.get(phases, "AC_3_PHASE"),
            "max_voltage": round(voltage),
            "max_amperage": int(amperes),
            "max_electric_power": int(voltage * amperes * (1 if direct else phases)),
            "last_updated": utc_text(self._changed(place)),
        }
        if tariffs := self._tariffs.ids(self._clock.now()):
            found["tariff_ids"] = tariffs
        return found


def _standard(standard: str, version: str) -> str:
    return _NEAREST_IN_2_2_1.get(standard, standard) if version == "2.2.1" else standard
