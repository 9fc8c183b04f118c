"""What a station showed of its store when it was asked, and what that settles."""

from __future__ import annotations

from collections.abc import Iterator

from bench.domain.evidence import RunFacts
from bench.domain.exchange import Call
from bench.domain.profiles import ChargingProfile, InstalledProfile, ProfileError


def settled_by(facts: RunFacts, call: Call) -> tuple[Call, list[Call]] | None:
    """Return the first complete read-back after a call that was never answered: it tells what became of it."""
    later = (one for one in read_backs(facts, call.station) if one[0].asked_seq > call.asked_seq and one[2])
    return next(((asked, reports) for asked, reports, _ in later), None)


def shown_later(facts: RunFacts, call: Call) -> Call | None:
    """Return the read-back that shows the profile of a SetChargingProfile that was never answered; None: none does."""
    settled = settled_by(facts, call)
    if settled is None:
        return None
    asked, reports = settled
    wanted = readable(call.request["evseId"], call.request["chargingProfile"], None)
    found = [readable(one.request["evseId"], raw, None) for one in reports for raw in one.request["chargingProfile"]]
    return asked if wanted is not None and wanted in found else None


def readable(evse_id: int, raw: dict[str, object], source: str | None) -> InstalledProfile | None:
    """Return a reported profile as the domain reads it; None where it cannot."""
    try:
        return InstalledProfile(evse_id, ChargingProfile.from_ocpp(raw), source=source)
    except ProfileError:
        return None


def read_backs(facts: RunFacts, station: str) -> Iterator[tuple[Call, list[Call], bool]]:
    """Yield each GetChargingProfiles of the whole store with its reports, and whether they are complete."""
    reports = [call for call in facts.calls if call.station == station and call.action == "ReportChargingProfiles"]
    for call in facts.calls:
        if call.station != station or call.from_station or call.action != "GetChargingProfiles" or call.response is None:
            continue
        if call.request.get("chargingProfile") or "evseId" in call.request:
            continue
        mine = [one for one in reports if one.response is not None and one.request["requestId"] == call.request["requestId"]]
        mine = [one for one in mine if one.asked_seq > call.asked_seq]
        complete = call.status == "NoProfiles" or bool(mine and not mine[-1].request.get("tbc", False))
        yield call, mine, complete


def settled(facts: RunFacts, station: str) -> Iterator[tuple[Call, Call]]:
    """Yield each SetChargingProfile that was never answered and yet is shown installed, with the read-back that shows it."""
    for call in facts.calls:
        sent = call.station == station and call.action == "SetChargingProfile" and not call.from_station
        shown = shown_later(facts, call) if sent and call.answered is None else None
        if shown is not None:
            yield call, shown
