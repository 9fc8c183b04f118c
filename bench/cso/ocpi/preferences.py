"""Charging preferences of drivers: kept with the session, and told to the SCSPs."""

from __future__ import annotations

from collections.abc import Callable

from bench.cso.ocpi.answers import OcpiError
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Platform
from bench.cso.ocpi.sessions import Sessions
from bench.cso.ocpi.tariffs import Tariffs
from bench.cso.relay import Relay
from bench.ports import Clock
from bench.settings.ocpi import PreferenceSettings
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.transport import INVALID, PartyId


class Preferences:
    """Decides on preferences by what the EVSE can do; absent settings: no EVSE is CHARGING_PREFERENCES_CAPABLE."""

    def __init__(
        self, clock: Clock, own: PartyId, sessions: Sessions, tariffs: Tariffs, relay: Relay,
        settings: PreferenceSettings | None, save: Callable[[], None],
    ) -> None:  # fmt: skip
        self._clock, self._own, self._sessions, self._relay, self._settings = clock, own, sessions, relay, settings
        self._tariffs, self._save = tariffs, save

    def set(self, platform: Platform, session_id: str, wanted: ChargingPreferences) -> str:
        """Return the ChargingPreferencesResponse.

        Raises: OcpiError: 404 with 2001 for an EVSE without the capability and for an unknown session; 2001 for one that is
            not the caller's, or not ACTIVE.
        """
        record = self._sessions.find(session_id)
        if record is None:
            raise OcpiError(INVALID, f"no session {session_id}", 404)
        if self._settings is None:
            raise OcpiError(INVALID, f"the EVSE of session {session_id} is not CHARGING_PREFERENCES_CAPABLE", 404)
        if not any(record.belongs_to(party, self._own) for party in platform.parties):
            raise OcpiError(INVALID, "the session is not of a customer of the caller")
        if record.status != "ACTIVE":
            raise OcpiError(INVALID, f"the session is {record.status}")
        answer = self._answer(record, wanted, self._settings)
        if answer == "ACCEPTED":
            record.preferences = wanted
            self._sessions.tell_preferences(record)
            self._save()
        return answer

    def _answer(self, record: SessionRecord, wanted: ChargingPreferences, settings: PreferenceSettings) -> str:
        known = wanted.profile_type in settings.profile_types
        if not known or not self._tariffs.has_for(wanted.profile_type, self._clock.now()):
            return "PROFILE_TYPE_NOT_SUPPORTED"
        if settings.needs_departure and wanted.departure_time is None:
            return "DEPARTURE_REQUIRED"
        if settings.needs_energy and wanted.energy_need is None:
            return "ENERGY_NEED_REQUIRED"
        return "ACCEPTED" if self._is_possible(record, wanted) else "NOT_POSSIBLE"

    def _is_possible(self, record: SessionRecord, wanted: ChargingPreferences) -> bool:
        """Say whether the EVSE could give so much energy until then, at its own maximum."""
        if wanted.departure_time is None:
            return True
        now = self._clock.now()
        hours = (wanted.departure_time - now).total_seconds() / 3600
        if hours <= 0:
            return False
        if wanted.energy_need is None or self._relay.not_supported(record.target):
            return True
        most = self._relay.maximum(record.target, now, 3600, "W").charging_profile.charging_profile_period[0].limit
        return wanted.energy_need <= most / 1000 * hours
