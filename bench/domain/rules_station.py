"""Rules that a charging profile breaks by where it goes: EVSE, transaction, what is installed there, capacity.

Source of all: OCPP 2.0.1 edition 3 part 2, tables of K01, K04, K05 and F01, with the errata to 2025-09.
"""

from __future__ import annotations

from bench.domain.lint_request import REMOTE_START, SET, ProfileRequest, as_int, rule, validity


@rule("CSMS")
def tx_profile_names_its_transaction(request: ProfileRequest) -> str | None:
    """K01.FR.03: a TxProfile in a SetChargingProfileRequest names its transactionId."""
    if request.via == SET and request.is_tx and "transactionId" not in request.raw:
        return "a TxProfile without transactionId"
    return None


@rule("CS")
def transaction_is_on_that_evse(request: ProfileRequest) -> str | None:
    """K01.FR.04: a TxProfile is applied to the transaction that it names; here that one runs on another EVSE than it says.

    The transaction is known, so nothing obliges the station to reject; which of the two it believes, the text leaves open.
    """
    station, named = request.station, request.transaction_id
    if request.via != SET or not request.is_tx or not request.evse_id or request.evse_id not in station.transactions:
        return None
    elsewhere = sorted(evse_id for evse_id, running in station.transactions.items() if running == named)
    if not elsewhere or request.evse_id in elsewhere:
        return None
    return f"transaction {named} runs on EVSE {elsewhere[0]}, not on EVSE {request.evse_id}"


@rule("CS", "Rejected")
def id_is_not_of_an_external_profile(request: ProfileRequest) -> str | None:
    """K01.FR.05: an id in use replaces its profile, but an external-constraints profile cannot be replaced by the CSMS."""
    for evse_id, profile in request.station.installed:
        external = profile.get("chargingProfilePurpose") == "ChargingStationExternalConstraints"
        if external and request.id is not None and as_int(profile.get("id")) == request.id:
            return f"id {request.id} belongs to an external-constraints profile on EVSE {evse_id}"
    return None


@rule("CSMS")
def no_overlap_at_one_stack_level(request: ProfileRequest) -> str | None:
    """K01.FR.06: no second profile (other id) of the same stackLevel, purpose and evseId with overlapping validity.

    Not for TxProfile, which K01.FR.39 rules. validTo is exclusive (K01.FR.37), so windows that only touch do not overlap.
    """
    if request.is_tx or not isinstance(request.purpose, str) or request.stack_level is None:
        return None
    begin, end = validity(request.raw)
    for evse_id, profile in request.others(request.purpose):
        start, stop = validity(profile)
        same = evse_id == request.evse_id and as_int(profile.get("stackLevel")) == request.stack_level
        if same and max(begin, start) < min(end, stop):
            return f"profile {profile.get('id')} has stackLevel {request.stack_level} on EVSE {evse_id} at the same time"
    return None


@rule("CS", "Rejected")
def tx_profile_meets_a_transaction(request: ProfileRequest) -> str | None:
    """K01.FR.09: the station SHALL reject a TxProfile for an EVSE without an active transaction; EVSE 0 stands for all EVSEs."""
    running = request.station.transactions
    if request.via != SET or not request.is_tx or request.evse_id is None:
        return None
    if (request.evse_id in running) if request.evse_id else running:
        return None
    return f"no transaction is active on EVSE {request.evse_id}"


@rule("CS+CSMS", "Rejected")
def tx_profile_is_for_one_evse(request: ProfileRequest) -> str | None:
    """K01.FR.16: a TxProfile is only used with evseId > 0; that binds the station too, so it cannot accept one on EVSE 0."""
    return "a TxProfile for EVSE 0" if request.is_tx and request.evse_id == 0 else None


@rule("CS", "Rejected")
def evse_exists(request: ProfileRequest) -> str | None:
    """K01.FR.28: the station SHALL reject a profile for an evseId that does not exist."""
    last = request.station.n_evses
    if request.evse_id is not None and not 0 <= request.evse_id <= last:
        return f"EVSE {request.evse_id}: the station has 1 to {last}"
    return None


@rule("CS", "CALLERROR")
def smart_charging_is_there(request: ProfileRequest) -> str | None:
    """K01.FR.29: without smart charging the station SHALL answer with CALLERROR NotSupported or NotImplemented.

    Not for a remote start: there it SHALL ignore the profile (K05.FR.04).
    """
    if request.via == SET and not request.station.smart_charging_available:
        return "smart charging is not available"
    return None


@rule("CS", "Rejected")
def transaction_is_known(request: ProfileRequest) -> str | None:
    """K01.FR.33: the station SHALL reject a TxProfile whose transactionId is not known."""
    named = request.transaction_id
    if request.via == SET and request.is_tx and named is not None and named not in request.station.transactions.values():
        return f"transaction {named!r} is not known"
    return None


@rule("CSMS")
def one_tx_profile_at_a_stack_level(request: ProfileRequest) -> str | None:
    """K01.FR.39: no second TxProfile (other id) of the same stackLevel and transactionId, whatever its validity."""
    if not request.is_tx or request.transaction_id is None or request.stack_level is None:
        return None
    for _, profile in request.others("TxProfile"):
        same = as_int(profile.get("stackLevel")) == request.stack_level
        if same and profile.get("transactionId") == request.transaction_id:
            return f"profile {profile.get('id')} has stackLevel {request.stack_level} for transaction {request.transaction_id!r}"
    return None


def _same_level(request: ProfileRequest, of_station: bool) -> str | None:
    """Return which TxDefaultProfile of the same level is on EVSE 0, or else on a single EVSE."""
    if request.via == SET and request.purpose == "TxDefaultProfile" and request.stack_level is not None:
        for evse_id, profile in request.others("TxDefaultProfile"):
            if (evse_id == 0) is of_station and as_int(profile.get("stackLevel")) == request.stack_level:
                return f"TxDefaultProfile {profile.get('id')} has stackLevel {request.stack_level} on EVSE {evse_id}"
    return None


@rule("CS", "Rejected")
def station_default_meets_no_evse_default(request: ProfileRequest) -> str | None:
    """K01.FR.52: the station SHALL reject a TxDefaultProfile for EVSE 0 while an EVSE has one of that level with other id."""
    return _same_level(request, of_station=False) if request.evse_id == 0 else None


@rule("CS", "Rejected")
def evse_default_meets_no_station_default(request: ProfileRequest) -> str | None:
    """K01.FR.53: the station SHALL reject a TxDefaultProfile for an EVSE while EVSE 0 has one of that level with other id."""
    return _same_level(request, of_station=True) if request.evse_id else None


@rule("CS+CSMS", "Rejected")
def station_max_is_for_the_station(request: ProfileRequest) -> str | None:
    """K04.FR.03: a ChargingStationMaxProfile can only be set on EVSE 0, so the station cannot accept it elsewhere."""
    if request.purpose == "ChargingStationMaxProfile" and request.evse_id:
        return f"a ChargingStationMaxProfile for EVSE {request.evse_id}"
    return None


@rule("CSMS")
def remote_start_has_no_transaction_id(request: ProfileRequest) -> str | None:
    """F01.FR.11: the profile of a remote start names no transactionId: there is none yet; F02.FR.19 says the same."""
    return "transactionId in a remote start" if request.via == REMOTE_START and "transactionId" in request.raw else None


@rule("CSMS")
def remote_start_has_a_tx_profile(request: ProfileRequest) -> str | None:
    """K05.FR.02: the profile of a remote start is a TxProfile."""
    known = ("TxDefaultProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints")
    if request.via == REMOTE_START and request.purpose in known:
        return f"the purpose is {request.purpose}"
    return None


@rule("CSMS")
def stack_level_is_accepted(request: ProfileRequest) -> str | None:
    """SmartChargingCtrlr.ProfileStackLevel: the highest stackLevel that the station accepts."""
    most = request.station.profile_stack_level
    if most is not None and request.stack_level is not None and request.stack_level > most:
        return f"stackLevel {request.stack_level}, the station accepts up to {most}"
    return None


@rule("CSMS")
def periods_fit(request: ProfileRequest) -> str | None:
    """SmartChargingCtrlr.PeriodsPerSchedule: how many periods one schedule may have."""
    most = request.station.periods_per_schedule
    for number, periods in enumerate(request.periods):
        if most is not None and len(periods) > most:
            return f"chargingSchedule[{number}]: {len(periods)} periods, the station takes {most}"
    return None


@rule("CSMS")
def store_has_room(request: ProfileRequest) -> str | None:
    """SmartChargingCtrlr.Entries: how many profiles the station holds; one with an id in use takes no further place."""
    most, held = request.station.entries, {as_int(profile.get("id")) for _, profile in request.station.installed}
    if most is not None and request.id not in held and len(held) >= most:
        return f"{len(held)} profiles are installed, the station holds {most}"
    return None
