"""Several writers at one session: whatever the order of their coming, what is installed is what the policy says.

The oracle here knows no claims and no spans: it takes the writers that have a limit now, decides by the policy's words, and asks
second by second. Each order of arrival, and of leaving, is tried.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, Final, get_args

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.cso.arbitration import Policy
from bench.cso.relay import Target
from bench.errors import CallTimeoutError
from bench.peers.scsp import MockScsp, open_scsp
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.transport import PartyId
from tests.ocpi_rig import STATION, OcpiRig, open_ocpi_rig
from tests.support import EPOCH

pytestmark = pytest.mark.virtual

Raw = dict[str, Any]
Placed = dict[str, Raw]
"""What each writer has been granted, in the order of its coming."""


def _raw(*periods: tuple[int, float], unit: str = "A", **more: Any) -> Raw:
    told = [{"start_period": at, "limit": limit} for at, limit in periods]
    return {"start_date_time": "2026-01-15T00:00:00Z", "charging_rate_unit": unit, "charging_profile_period": told} | more


WISHES: Final[dict[str, Raw]] = {
    "SCSP": _raw((0, 16), (100, 8), (200, 14), duration=300),
    "EMSP": _raw((0, 10), (50, 16)),
    "BEMS": _raw((0, 12), (150, 6), duration=400),
    "DSO": _raw((0, 9), (250, 16), duration=350),
    "BEMS!": _raw((0, 13), (120, 7)),
}
"""The last one is a BEMS's emergency."""
LOCAL: Final = {"BEMS": "BEMS", "BEMS!": "BEMS", "DSO": "DSO"}
SECONDS: Final = range(0, 500, 10)


def _counts(policy: str, writers: list[str]) -> list[str]:
    """Return by the policy's words who of these counts; writers in the order of their coming."""
    by_ocpi = [one for one in writers if one not in LOCAL]
    first = by_ocpi[:1]
    if policy == "one_writer":
        return writers[:1]
    if policy == "minimum":
        return writers
    if policy == "bems_owns":
        return [one for one in writers if one in LOCAL or (one in first and not {"BEMS", "BEMS!"} & set(writers))]
    return [one for one in writers if (one in LOCAL or one in first) and not (one == "BEMS" and by_ocpi)]


def _says(raw: Raw, second: float, keys: tuple[str, str]) -> float | None:
    if second >= raw.get("duration", 10**9):
        return None
    return next(float(one["limit"]) for one in reversed(raw[keys[0]]) if one[keys[1]] <= second)


def _due(policy: str, placed: Placed) -> list[float | None]:
    """Return the lowest limit that counts, over time: who asks for nothing at a moment rules nobody out then."""
    found: list[float | None] = []
    for second in SECONDS:
        there = {one: _says(raw, second, ("charging_profile_period", "start_period")) for one, raw in placed.items()}
        asking = [one for one in placed if there[one] is not None]
        held = [*placed][:1] if policy == "one_writer" else [one for one in placed if one not in LOCAL][:1]
        counted = [one for one in _counts(policy, asking) if one in LOCAL or policy == "minimum" or one in held]
        counted = [one for one in counted if policy != "one_writer" or one in held]
        found.append(min((limit for one in counted if (limit := there[one]) is not None), default=None))
    return found


def _installed(rig: OcpiRig) -> list[float | None]:
    """Return what the station was given last, over time; it answers for itself, from the frames."""
    held: dict[int, Raw] = {}
    for action, payload in rig.stations.calls:
        if action == "ClearChargingProfile":
            held.pop(payload["chargingProfileId"], None)
        elif action == "SetChargingProfile":
            profile = payload["chargingProfile"]
            held[profile["id"]] = profile["chargingSchedule"][0]
    assert len(held) <= 1  # two TxProfiles of one level and transaction are forbidden (K01.FR.39)
    schedule = next(iter(held.values()), None)
    if schedule is None:
        return [None] * len(SECONDS)
    begun = (datetime.fromisoformat(schedule["startSchedule"]) - datetime(2026, 1, 15, tzinfo=UTC)).total_seconds()
    keys = ("chargingSchedulePeriod", "startPeriod")
    return [None if second < begun else _says(schedule, second - begun, keys) for second in SECONDS]


class _Writers:
    """Lets each kind of writer set and take back its wish, and returns whether it was granted."""

    def __init__(self, rig: OcpiRig, emsp: MockScsp, session_id: str) -> None:
        self._rig, self._session_id = rig, session_id
        self._peers = {"SCSP": rig.scsp, "EMSP": emsp}
        self._arbiter = rig.cpo.platform.arbiter

    async def set(self, writer: str) -> bool:
        if writer in LOCAL:
            profile = ChargingProfile.model_validate(WISHES[writer])
            emergency = writer.endswith("!")
            outcome = await self._arbiter.limit(self._session_id, writer, LOCAL[writer], profile, emergency=emergency)
            return outcome.word == "ACCEPTED"
        peer = self._peers[writer]
        order = await peer.send_plan(self._session_id, WISHES[writer])
        if order.answer["result"] != "ACCEPTED":
            return False
        return bool((await peer.wait_result(order.response_id, 60))["result"] == "ACCEPTED")

    async def clear(self, writer: str) -> None:
        if writer in LOCAL:
            assert (await self._arbiter.release(self._session_id, writer)).word == "ACCEPTED"
            return
        order = await self._peers[writer].delete(self._session_id)
        assert await self._peers[writer].wait_result(order.response_id, 60) == {"result": "ACCEPTED"}


@pytest.mark.parametrize("policy", get_args(Policy))
async def test_each_order_of_arrival_and_of_leaving_obeys_the_policy(policy: Policy) -> None:
    """mod_charging_profiles, Smart Charging Topologies: two and three of five writers, in each order: granted, and installed,
    is what the oracle says, at each step."""
    other, host = PartyId("NL", "MSP"), "http://other.bench"
    async with (
        open_ocpi_rig(policy=policy) as rig,
        open_scsp(LoopClock(EPOCH), SeededIds(2, "other"), rig.addresses, base_url=host, party=other) as emsp,
    ):
        await emsp.register(rig.cpo.versions_url, rig.cpo.platform.registry.invite())
        orders = [*permutations(WISHES, 2), *permutations(WISHES, 3)]
        for number, order in enumerate(one for one in orders if not {"BEMS", "BEMS!"} <= set(one)):
            rig.stations.calls.clear()
            writers, placed = _Writers(rig, emsp, await rig.session(f"tx-{number}")), Placed()
            for writer in order:
                due = writer in _counts(policy, [*placed, writer])
                assert await writers.set(writer) is due, (order, writer)
                placed |= {writer: WISHES[writer]} if due else {}
                assert _installed(rig) == _due(policy, placed), (order, writer)
            for writer in order:
                if placed.pop(writer, None) is not None:
                    await writers.clear(writer)
                    assert _installed(rig) == _due(policy, placed), (order, writer)
            rig.stations.transaction("Ended", f"tx-{number}")
        await asyncio.sleep(60)  # the last session's end is told before the peers close


BEMS_LIMIT: Final = ChargingProfile.model_validate(WISHES["BEMS"])


async def test_the_overruled_party_is_told_by_a_push_and_in_the_journal() -> None:
    """mod_charging_profiles, Flow; bems_owns: the SCSP's profile was granted, then the building's comes; the station's new
    limits reach the SCSP."""
    async with open_ocpi_rig(policy="bems_owns") as rig:
        session_id, _ = await rig.placed()
        schedule = rig.stations.answers["GetCompositeSchedule"]["schedule"]
        lower = schedule | {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}
        rig.stations.answers["GetCompositeSchedule"] = {"status": "Accepted", "schedule": lower}
        assert (await rig.cpo.platform.arbiter.limit(session_id, "building", "BEMS", BEMS_LIMIT)).word == "ACCEPTED"
        assert await rig.scsp.wait_until(lambda: len(rig.scsp.pushes) == 2, 10)
        (text,) = rig.found("overruled")
        assert "NL-SCP (SCSP) was overruled" in text


async def test_an_overruled_local_writer_is_told() -> None:
    """scsp_owns: the building's limit counted until a party's profile came, and counts again behind its DELETE."""
    async with open_ocpi_rig(policy="scsp_owns") as rig:
        told: list[tuple[str, bool]] = []
        rig.cpo.platform.arbiter.overruled.append(lambda record, writer, counts: told.append((writer, counts)))
        session_id = await rig.session()
        await rig.cpo.platform.arbiter.limit(session_id, "building", "BEMS", BEMS_LIMIT)
        order = await rig.scsp.send_plan(session_id, WISHES["SCSP"])
        await rig.scsp.wait_result(order.response_id, 60)
        order = await rig.scsp.delete(session_id)
        await rig.scsp.wait_result(order.response_id, 60)
        assert told == [("building", False), ("building", True)]


async def test_a_limit_on_an_evse_rules_the_sessions_to_come() -> None:
    """Set while nobody charges: installed as soon as somebody does, and gone with its release."""
    async with open_ocpi_rig(policy="minimum") as rig:
        arbiter = rig.cpo.platform.arbiter
        await arbiter.limit(("CS-1", 1), "grid", "DSO", BEMS_LIMIT)
        assert rig.stations.calls == []
        await rig.session()
        await asyncio.sleep(1)
        assert _installed(rig)[0] == 12.0
        assert (await arbiter.release(("CS-1", 1), "grid")).word == "ACCEPTED"
        assert _installed(rig)[0] is None
        assert (await arbiter.release(("CS-1", 1), "grid")).word == "UNKNOWN"
        assert (await arbiter.limit("S-nowhere", "grid", "DSO", BEMS_LIMIT)).word == "UNKNOWN"


async def test_a_limit_that_the_station_refuses_does_not_count() -> None:
    """The local writer hears REJECTED, and what was installed before still rules."""
    async with open_ocpi_rig(policy="minimum") as rig:
        session_id, _ = await rig.placed()
        rig.stations.answers["SetChargingProfile"] = {"status": "Rejected"}
        assert (await rig.cpo.platform.arbiter.limit(session_id, "grid", "DSO", BEMS_LIMIT)).word == "REJECTED"
        assert [one.writer for one in rig.cpo.platform.arbiter.claims(rig.cpo.platform.sessions.running()[0])] == ["NL-SCP"]


async def test_a_place_without_profile_switches_no_limit_off() -> None:
    """scsp_owns: the station refuses the SCSP's profile; the building's goes on to count."""
    async with open_ocpi_rig(policy="scsp_owns") as rig:
        session_id = await rig.session()
        arbiter = rig.cpo.platform.arbiter
        rig.stations.answers["SetChargingProfile"] = {"status": "Rejected"}
        order = await rig.scsp.send_plan(session_id, WISHES["SCSP"])
        await rig.scsp.wait_result(order.response_id, 60)
        rig.stations.answers["SetChargingProfile"] = {"status": "Accepted"}
        assert (await arbiter.limit(session_id, "building", "BEMS", BEMS_LIMIT)).word == "ACCEPTED"


async def test_a_relative_profile_is_merged_from_the_begin_of_the_transaction() -> None:
    """minimum: the one TxProfile is absolute, and the transaction's begin is the relative one's start."""
    async with open_ocpi_rig(policy="minimum") as rig:
        session_id = await rig.session()
        await asyncio.sleep(60)
        relative = {key: value for key, value in WISHES["SCSP"].items() if key != "start_date_time"}
        order = await rig.scsp.send_plan(session_id, relative)
        await rig.scsp.wait_result(order.response_id, 60)
        await rig.cpo.platform.arbiter.limit(session_id, "building", "BEMS", BEMS_LIMIT)
        assert _installed(rig) == _due("minimum", {"SCSP": WISHES["SCSP"], "BEMS": WISHES["BEMS"]})


async def test_what_cannot_be_merged_is_not_supported() -> None:
    """minimum: relative beside absolute, and the begin of the transaction was not seen."""
    async with open_ocpi_rig(policy="minimum") as rig:
        rig.stations.transaction("Updated", wh=1000)
        session = await rig.scsp.wait_session(lambda one: True, 10)
        await rig.cpo.platform.arbiter.limit(session["id"], "building", "BEMS", BEMS_LIMIT)
        relative = {key: value for key, value in WISHES["SCSP"].items() if key != "start_date_time"}
        assert (await rig.scsp.send_plan(session["id"], relative)).answer["result"] == "NOT_SUPPORTED"


@pytest.mark.parametrize("answer", [{"status": "Accepted"}, CallTimeoutError("no answer")], ids=["installed", "unknown"])
async def test_who_follows_another_takes_over_the_number_of_what_may_be_installed(answer: Any) -> None:
    """K01.FR.39: a second number beside a profile that the station may hold would be a second TxProfile of one level."""
    async with open_ocpi_rig() as rig:
        target = Target(await rig.session(), STATION, 1, "tx-1")
        profile = ChargingProfile.model_validate(_raw((0, 10)))
        rig.stations.answers["SetChargingProfile"] = answer
        for writer in ("NL-ONE", "NL-TWO"):
            await rig.cpo.platform.relay.set_profile(target, writer, profile)
        first, second = (one["chargingProfile"]["id"] for one in rig.stations.sent("SetChargingProfile"))
        assert first == second
