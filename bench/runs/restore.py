"""Gives a station back what it held before a run: nothing here lets power flow, and everything is read back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.domain.quantities import parse_time, seconds
from bench.errors import BenchError, CallRejectedError
from bench.ports import Clock, Journal
from bench.runs.snapshot import EXTERNAL, FLOOR_PROFILE_ID, TX, Snapshot, read_variable, same_profile

OUT_OF_OPERATION: Final = ("Unavailable",)
"""The connector status of what was taken out of operation (G03, G04)."""


@dataclass(slots=True)
class Restored:
    """What was done, and how the station then still differs from the snapshot."""

    actions: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Say whether the station is as it was found."""
        return not self.differences


class Restorer:
    """Restores one station from its snapshot.

    Args:
        keep_floor: after an abort the 0 A profile stays, and counts as a difference.
        own_ids: profiles that the run set, for a station that cannot list what it holds.
        availability: what was changed: evseId (0: the whole station) and connectorId (0: all of the EVSE).
    """

    def __init__(
        self,
        csms: Csms,
        clock: Clock,
        journal: Journal,
        snapshot: Snapshot,
        *,
        keep_floor: bool = False,
        own_ids: Iterable[int] = (),
        availability: Iterable[tuple[int, int]] = (),
    ) -> None:
        self._csms, self._clock, self._journal, self.snapshot = csms, clock, journal, snapshot
        self._station, self._keep_floor = snapshot.station, keep_floor
        self._own_ids, self._availability = tuple(own_ids), tuple(availability)
        self.result = Restored()

    async def restore(self, patience_s: float) -> Restored:
        """Clear, reinstall, set back, read back, and write the `restored` document, whatever the station answers."""
        state = self._csms.stations[self._station]
        if not await self._csms.wait_until(lambda: state.online, patience_s):
            self.result.differences.append(f"{self._station} is offline: nothing was restored")
        else:
            for part in (self._profiles, self._variables, self._operation):
                try:
                    await part()
                except BenchError as error:
                    self.result.differences.append(f"{part.__name__.strip('_')}: {error}")
        data = {"station": self._station, "actions": self.result.actions, "differences": self.result.differences}
        self._journal.write(Kind.RESTORED, {**data, "clean": self.result.clean})
        if not self.result.clean:
            text = "; ".join(self.result.differences)
            self._csms.finding(self._station, "not_as_found", text, source="bench")
        return self.result

    # profiles --------------------------------------------------------------------------------------------------

    async def _profiles(self) -> None:
        if self.snapshot.profiles is None:
            for identity in self._own_ids:
                await self._clear(identity)
            if self._keep_floor and FLOOR_PROFILE_ID in self._csms.profiles.book(self._station).intent:
                self.result.differences.append(f"profile {FLOOR_PROFILE_ID}: the 0 A profile of the abort stays")
            elif not self._keep_floor:
                await self._clear(FLOOR_PROFILE_ID)
            return
        found = await self._csms.installed_profiles(self._station)
        before = self.snapshot.profiles
        for one in found:
            if self._ours(one) and not _has(before, one):
                await self._clear(one["profile"]["id"])
        due = [one for one in before if self._due(one)]
        for one in due:
            if not _has(found, one):
                await self._install(one)
        self._compare_profiles(due, await self._csms.installed_profiles(self._station))

    def _ours(self, one: dict[str, Any]) -> bool:
        """Say whether a CSMS may clear this profile, and we want it gone."""
        if one["profile"]["chargingProfilePurpose"] == EXTERNAL:
            return False
        return not (self._keep_floor and one["profile"]["id"] == FLOOR_PROFILE_ID)

    def _due(self, one: dict[str, Any]) -> bool:
        """Say whether a profile of the snapshot has to be there now: not that of a past transaction, nor one out of date."""
        profile = one["profile"]
        if profile["chargingProfilePurpose"] == TX:
            identity = profile.get("transactionId")
            transaction = self._csms.stations[self._station].transactions.get(identity)
            return transaction is not None and transaction.ended is None
        expires = profile.get("validTo")
        try:
            return expires is None or parse_time(expires) > seconds(self._clock.now())
        except ValueError:
            return True

    async def _clear(self, identity: int) -> None:
        try:
            answer = await self._csms.call(self._station, "ClearChargingProfile", {"chargingProfileId": identity})
        except CallRejectedError as error:
            if not error.unknown:
                raise
            self.result.actions.append(f"profile {identity}: {error.code}, so the station holds none")
            return
        self.result.actions.append(f"cleared profile {identity}: {answer['status']}")

    async def _install(self, one: dict[str, Any]) -> None:
        identity = one["profile"]["id"]
        if one["profile"]["chargingProfilePurpose"] == EXTERNAL:
            return
        request = {"evseId": one["evse_id"], "chargingProfile": one["profile"]}
        try:
            # the station held it before, so it gets it back even where it breaks a rule that is ours to keep
            answer = (await self._csms.call(self._station, "SetChargingProfile", request, rules="report"))["status"]
        except BenchError as error:
            answer = str(error)
        self.result.actions.append(f"installed profile {identity} on EVSE {one['evse_id']} again: {answer}")

    def _compare_profiles(self, due: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
        for one in due:
            if not _has(found, one):
                text = f"profile {one['profile']['id']} on EVSE {one['evse_id']} is missing or not as it was"
                self.result.differences.append(text)
        for one in found:
            if not _has(self.snapshot.profiles or (), one):
                identity = one["profile"]["id"]
                what = "the 0 A profile of the abort stays" if identity == FLOOR_PROFILE_ID else "was not there before"
                self.result.differences.append(f"profile {identity} on EVSE {one['evse_id']}: {what}")

    # variables and availability --------------------------------------------------------------------------------

    async def _variables(self) -> None:
        for key, kept in self.snapshot.variables.items():
            if kept["status"] != "Accepted":
                if kept["status"] not in ("UnknownComponent", "UnknownVariable"):
                    self.result.differences.append(f"{key}: its value before the run could not be read ({kept['status']})")
                continue
            if (await read_variable(self._csms, self._station, kept))[1] == kept["value"]:
                continue
            wanted = {"component": kept["component"], "variable": kept["variable"], "attributeValue": kept["value"]}
            answer = await self._csms.call(self._station, "SetVariables", {"setVariableData": [wanted]})
            status = answer["setVariableResult"][0]["attributeStatus"]
            self.result.actions.append(f"set {key} back to {kept['value']}: {status}")
            now = (await read_variable(self._csms, self._station, kept))[1]
            if now != kept["value"]:
                self.result.differences.append(f"{key} is {now}, was {kept['value']}; SetVariables: {status}")

    async def _operation(self) -> None:
        """Bring back into operation what the run took out of it, and the other way round (G03, G04)."""
        for evse_id, connector_id in self._availability:
            before = [status for place, status in self.snapshot.connectors.items() if _within(place, evse_id, connector_id)]
            wanted = "Inoperative" if before and all(one in OUT_OF_OPERATION for one in before) else "Operative"
            request: dict[str, Any] = {"operationalStatus": wanted}
            if evse_id:
                request["evse"] = {"id": evse_id, **({"connectorId": connector_id} if connector_id else {})}
            answer = await self._csms.call(self._station, "ChangeAvailability", request)
            where = f"EVSE {evse_id}" if evse_id else "the station"
            self.result.actions.append(f"made {where} {wanted} again: {answer['status']}")
            if answer["status"] == "Rejected":
                self.result.differences.append(f"{where} did not become {wanted} again")


def _has(profiles: Iterable[dict[str, Any]], one: dict[str, Any]) -> bool:
    return any(same_profile(one, other) for other in profiles)


def _within(place: tuple[int, int], evse_id: int, connector_id: int) -> bool:
    return evse_id in (0, place[0]) and connector_id in (0, place[1])
