"""Charge detail records: built once a session has ended, from its measured periods, and told to who may see the session."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from bench.cso.ocpi.locations import Locations
from bench.cso.ocpi.outbox import Meant, Outbox, Push
from bench.cso.ocpi.paging import Page
from bench.cso.ocpi.periods import charging_period
from bench.cso.ocpi.record import NOT_AVAILABLE, SessionRecord
from bench.cso.ocpi.registry import Platform
from bench.cso.ocpi.sessions import Sessions
from bench.cso.ocpi.tariffs import Tariffs
from bench.domain.tariff_cost import Amount, Cost, Period, split
from bench.wire.ocpi.tariffs import number, price
from bench.wire.ocpi.transport import VERSIONS, PartyId

_HOUR_S: Final = Decimal(3600)
_FROM_SESSION: Final = (
    "country_code", "party_id", "start_date_time", "end_date_time", "cdr_token", "auth_method", "authorization_reference",
    "currency", "last_updated",
)  # fmt: skip
_ADDRESS: Final = 45
"""Characters of an address in a CdrLocation; a Location may have more."""
_SITE: Final = ("name", "city", "postal_code", "country", "coordinates")


class Cdrs:
    """One CDR for each session that ended; never changed afterwards (mod_cdrs)."""

    def __init__(self, own: PartyId, sessions: Sessions, locations: Locations, tariffs: Tariffs, outbox: Outbox) -> None:
        self._own, self._sessions, self._locations, self._tariffs, self._outbox = own, sessions, locations, tariffs, outbox

    def on_end(self, record: SessionRecord) -> None:
        """Make the CDR of a session that has ended."""
        record.cdr = {version: self._cdr(record, version) for version in VERSIONS}

    def tell(self, record: SessionRecord) -> None:
        """Tell of a session's CDR."""
        if (due := self.due(record.session_id)) is not None:
            self._outbox.tell(*due)

    def due(self, session_id: str) -> tuple[Push, Meant] | None:
        """Return the message of a session's CDR, and to whom it may be addressed; None where there is none to tell."""
        record = self._sessions.find(session_id)
        if record is None or not record.cdr or not record.id_token:
            return None
        push = Push("cdrs", session_id, "POST", (), record.cdr.__getitem__)
        return push, lambda party: record.may_be_steered_by(party, self._own)

    def listed(self, platform: Platform, page: Page, version: str) -> list[dict[str, Any]]:
        """Return the CDRs that a platform may see and a page covers, oldest first, in the words of a version."""
        found = [one for one in self._sessions.seen_by(platform, page) if one.cdr]
        return [one.cdr[version] for one in sorted(found, key=lambda one: one.last_updated)]

    def _cdr(self, record: SessionRecord, version: str) -> dict[str, Any]:
        """Return the CDR; each period lies within one set of prices, so that who receives it can calculate the cost again."""
        session = record.as_session(self._own, self._locations.location_id, version)
        periods, cost = record.periods.closed, Cost()
        tariff_id = ""
        if record.tariff is not None:
            tariff_id = record.tariff.id
            cost = self._tariffs.cost(record.tariff, periods)
            periods = split(periods, self._tariffs.priced(record.tariff))
        found: dict[str, Any] = {name: session[name] for name in _FROM_SESSION if name in session}
        found |= {
            "id": f"C-{record.session_id.removeprefix('S-')}",
            "session_id": record.session_id,
            "cdr_location": self._location(record, session, version),
            "charging_periods": [charging_period(one, tariff_id) for one in periods],
            "total_energy": number(Decimal(str(record.periods.kwh))),
            "total_time": number(_seconds(periods, charging=None) / _HOUR_S),
            "total_parking_time": number(_seconds(periods, charging=False) / _HOUR_S),
            "total_cost": price(cost.total, version),
        }
        if record.tariff is not None:
            found["tariffs"] = [self._tariffs.told(record.tariff, version)]
            parts = {"fixed": cost.fixed, "energy": cost.energy, "time": cost.time, "parking": cost.parking}
            found |= {f"total_{name}_cost": price(one, version) for name, one in parts.items() if one != Amount()}
        return found

    def _location(self, record: SessionRecord, session: dict[str, Any], version: str) -> dict[str, Any]:
        """Return the CdrLocation: the place as it was, with its one EVSE and Connector."""
        site = self._locations.location(version)
        connector = self._locations.connector(record.target.station, record.target.evse_id, version) or {}
        found: dict[str, Any] = {name: site[name] for name in _SITE if name in site}
        return found | {
            "id": site["id"],
            "address": site["address"][:_ADDRESS],
            "evse_uid": session["evse_uid"],
            "evse_id": NOT_AVAILABLE,
            "connector_id": session["connector_id"],
            "connector_standard": connector.get("standard", "IEC_62196_T2"),
            "connector_format": connector.get("format", "SOCKET"),
            "connector_power_type": connector.get("power_type", "AC_3_PHASE"),
        }


def _seconds(periods: list[Period], *, charging: bool | None) -> Decimal:
    return sum((one.seconds for one in periods if charging is None or one.charging is charging), Decimal(0))
