"""What a station holds before a run touches it, and how it gets that back: profiles, variables, availability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.cso.csms import Csms
from bench.domain.documents import Document, Kind
from bench.errors import CallRejectedError, StationError
from bench.ports import Journal

FLOOR_PROFILE_ID = 2_000_000_000
"""Id of the 0 A TxDefaultProfile that an abort leaves in the station; the next run, or `bench restore`, clears it."""
EXTERNAL = "ChargingStationExternalConstraints"
"""The purpose of profiles that no CSMS sets or clears."""
TX = "TxProfile"


@dataclass(slots=True)
class Snapshot:
    """One station as found. Fed with the data of `snapshot` documents, as they are written or as a journal has them."""

    station: str
    profiles: list[dict[str, Any]] | None = None
    """`{"evse_id", "source", "profile"}` each; None where the station could not tell, or was not asked."""
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the key of `variable_key`: component, variable, status of the reading, value."""
    connectors: dict[tuple[int, int], str] = field(default_factory=dict)
    """The connector status by (evseId, connectorId), as far as the station has told it."""
    taken: bool = False
    """Whether the profile store has been asked for."""

    def add(self, data: Mapping[str, Any]) -> None:
        """Take one document's data; what came first stays, for it was read before anything was touched."""
        if data["station"] != self.station:
            return
        if data["what"] == "profiles" and not self.taken:
            self.taken, found = True, data["profiles"]
            self.profiles = found if found is None else [one for one in found if one["profile"]["id"] != FLOOR_PROFILE_ID]
        elif data["what"] == "variable":
            self.variables.setdefault(variable_key(data), dict(data))
        elif data["what"] == "availability":
            for one in data["connectors"]:
                self.connectors.setdefault((one["evse"], one["connector"]), one["status"])

    @classmethod
    def of(cls, documents: Iterable[Document], station: str) -> Snapshot:
        """Return what a journal says of a station as found; also of a journal that was cut off."""
        snapshot = cls(station)
        for document in documents:
            if document.kind == Kind.SNAPSHOT:
                snapshot.add(document.data)
        return snapshot

    async def take(self, csms: Csms, journal: Journal) -> None:
        """Read the profile store and what is known of the connectors, and write both down. Raises StationError when offline."""
        try:
            found: list[dict[str, Any]] | None = await csms.installed_profiles(self.station)
            reason = ""
        except StationError as error:
            found, reason = None, str(error)
        self._write(journal, {"what": "profiles", "profiles": found, "reason": reason})
        connectors = csms.stations[self.station].connectors
        listed = [{"evse": evse, "connector": one, "status": status} for (evse, one), status in sorted(connectors.items())]
        self._write(journal, {"what": "availability", "connectors": listed})

    async def keep_variable(self, csms: Csms, journal: Journal, asked: Mapping[str, Any]) -> None:
        """Read a variable and write it down, once, before it is set. Raises StationError."""
        if variable_key(asked) not in self.variables:
            status, value = await read_variable(csms, self.station, asked)
            if value and "password" in asked["variable"]["name"].casefold():
                journal.secret(value)  # to be written only, and this station tells it
            place = {"component": asked["component"], "variable": asked["variable"]}
            self._write(journal, {"what": "variable", **place, "status": status, "value": value})

    def _write(self, journal: Journal, data: dict[str, Any]) -> None:
        data = {"station": self.station, **data}
        journal.write(Kind.SNAPSHOT, data)
        self.add(data)


async def clear_profile(csms: Csms, station: str, identity: int) -> str:
    """Clear a profile by its id; return the status, or the CALLERROR's code of a station that knows no such message.

    Raises: StationError; that of a station without smart charging is an answer, for it holds no profiles.
    """
    try:
        answer = await csms.call(station, "ClearChargingProfile", {"chargingProfileId": identity})
    except CallRejectedError as error:
        if not error.unknown:
            raise
        return error.code
    return str(answer["status"])


def variable_key(data: Mapping[str, Any]) -> str:
    """Return `Component[/instance][@evse[.connector]].Variable[/instance]`, in lower case as the names compare."""
    component, variable = data["component"], data["variable"]
    evse = component.get("evse")
    place = f"@{evse['id']}" + (f".{evse['connectorId']}" if "connectorId" in evse else "") if evse else ""
    return f"{_named(component)}{place}.{_named(variable)}".casefold()


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['name']}/{one['instance']}" if one.get("instance") else str(one["name"])


async def read_variable(csms: Csms, station: str, asked: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return status and value of the attribute Actual. Raises StationError."""
    request = {"getVariableData": [{"component": asked["component"], "variable": asked["variable"]}]}
    result = (await csms.call(station, "GetVariables", request))["getVariableResult"][0]
    return str(result["attributeStatus"]), result.get("attributeValue")


def same_profile(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two reported profiles are the same one: on the same EVSE, with equal content; moments compare as moments."""
    return bool(one["evse_id"] == other["evse_id"] and _plain(one["profile"]) == _plain(other["profile"]))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None and key != "customData"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and len(value) >= 20 and value[4:5] == "-" and "T" in value:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value
