"""`bench ocpi check` against the bench's own CPO: nothing fails, what was not shown is said to be so, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.adapters.ocpi_client import AddressBook
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.cso.ocpi.calls import Answer, Calls
from bench.cso.ocpi.registry import Platform
from bench.domain.conformance import CaseResult, overall
from bench.domain.verdicts import Verdict
from bench.errors import PeerError, StationOfflineError, UsageError
from bench.peers.check.course import COMMANDED, COMMANDS, NAMES, Start, Wishes
from bench.rig.cpo import Cpo, open_cpo
from bench.rig.emulated import open_emulated_rig
from bench.rig.ocpi_check import CheckOrder, run_check
from bench.settings.base import load
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_rig import COMPOSITE, OcpiRig, open_ocpi_rig, with_location
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual
PATH = Path(__file__).parents[2] / "config/rigs/emulated.toml"
STATION = "CS-EMU-1"
COMMAND_CASES = tuple(one.name for one in (*COMMANDS, *COMMANDED))


@pytest.fixture
async def rig() -> AsyncIterator[OcpiRig]:
    """Return the CPO with a scripted station that charges; its own mock SCSP is not registered."""
    async with open_ocpi_rig(register=False) as opened:
        opened.stations.transaction("Started", "tx-1", wh=1000)
        await asyncio.sleep(1)
        yield opened


@pytest.fixture
async def whole() -> AsyncIterator[tuple[Cpo, AddressBook, Csms, Any]]:
    """Return the CPO with the emulated station, plugged in at EVSE 1."""
    clock, ids, addresses = LoopClock(EPOCH), SeededIds(1, "cpo"), AddressBook()
    settings, journal = load(RigSettings, PATH), MemoryJournal()
    csms = Csms(clock, journal, ids, settings)
    async with (
        open_ocpp_server(settings, csms.attach, csms.knock, virtual=True, folder=PATH.parent) as server,
        open_emulated_rig(settings, PATH, clock, server.port, 1, virtual=True) as emulated,
        open_cpo(settings, clock, journal, ids, csms, addresses) as cpo,
    ):
        assert await csms.wait_until(lambda: csms.stations[STATION].booted is not None, 60)
        await emulated.controls[STATION].plug(1)
        yield cpo, addresses, csms, emulated.controls[STATION]
        await csms.close()


async def check(
    cpo: Cpo, addresses: AddressBook, version: str = "", *, role: str = "SCSP", tell: Callable[[str], None] = print,
    results: list[CaseResult] | None = None, **wishes: Any,
) -> list[CaseResult]:  # fmt: skip
    """Run the check and return the results."""
    order = CheckOrder(cpo.versions_url, Wishes(cpo.token_a, **wishes), version, role, base_url="http://check.bench")
    results = [] if results is None else results
    await run_check(order, LoopClock(EPOCH), SeededIds(7, "check"), addresses, MemoryJournal(), tell, results)
    return results


def open_cases(results: list[CaseResult], *, role: str = "SCSP") -> dict[str, Verdict]:
    """Return the cases that are not PASS; those of commands, which are an EMSP's, left out for an SCSP."""
    beside = COMMAND_CASES if role == "SCSP" else ()
    return {
        f"{one.name} {one.version}": one.verdict for one in results
        if one.verdict is not Verdict.PASS and not (one.name in beside and one.verdict is Verdict.NOT_APPLICABLE)
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_bench_passes_with_the_emulated_station(
    whole: tuple[Cpo, AddressBook, Csms, Any], version: str
) -> None:
    """Every case but paging, for which this rig has too few objects, is PASS."""
    cpo, addresses, _, control = whole
    await control.authorise(1, "A-CARD")
    results = await check(cpo, addresses, version, session_within_s=120)
    assert open_cases(results) == {f"paging {version}": Verdict.INCONCLUSIVE}
    assert {one.name for one in results} == set(NAMES)
    assert overall(results) is Verdict.INCONCLUSIVE
    assert not cpo.platform.registry.platforms


async def test_both_versions_are_checked_on_one_registration(whole: tuple[Cpo, AddressBook, Csms, Any]) -> None:
    """credentials, PUT: the second version takes the registration over, since TOKEN_A is spent."""
    cpo, addresses, _, control = whole
    await control.authorise(1, "A-CARD")
    results = await check(cpo, addresses, "both", session_within_s=120)
    newest, oldest = VERSIONS
    assert open_cases(results) == {
        f"paging {newest}": Verdict.INCONCLUSIVE, f"unregister {newest}": Verdict.NOT_APPLICABLE,
        f"paging {oldest}": Verdict.INCONCLUSIVE,
    }  # fmt: skip


@pytest.mark.parametrize(("late_s", "failed"), [(1, set()), (30, {"push 2.2.1"})])
async def test_a_push_under_way_when_the_version_changes_is_no_fault(
    whole: tuple[Cpo, AddressBook, Csms, Any], monkeypatch: pytest.MonkeyPatch, late_s: float, failed: set[str]
) -> None:
    """It left for the endpoint that was right by then; the old one is wrong long after the CSO has taken the new ones."""
    cpo, addresses, _, control = whole
    await control.authorise(1, "A-CARD")
    call = Calls.call

    async def late(self: Calls, method: str, url: str, platform: Platform, *args: Any, **more: Any) -> Answer:
        if method == "PUT" and "/2.3.0/chargingprofiles/" in url:
            await asyncio.sleep(late_s)
        return await call(self, method, url, platform, *args, **more)

    monkeypatch.setattr(Calls, "call", late)
    results = await check(cpo, addresses, "both", session_within_s=120)
    assert {f"{one.name} {one.version}" for one in results if one.verdict is Verdict.FAIL} == failed


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_emsp_starts_the_session_and_stops_it(whole: tuple[Cpo, AddressBook, Csms, Any], version: str) -> None:
    """mod_commands: START_SESSION with a token of ours, STOP_SESSION at the end; the EVSEs of this rig are not RESERVABLE."""
    cpo, addresses, csms, _ = whole
    start = Start("0123-CARD", "emulated", f"{STATION}-1")
    results = await check(cpo, addresses, version, role="EMSP", start=start)
    assert open_cases(results, role="EMSP") == {
        f"paging {version}": Verdict.INCONCLUSIVE, f"command-reservation {version}": Verdict.NOT_APPLICABLE,
    }  # fmt: skip
    await asyncio.sleep(60)
    assert csms.stations[STATION].active_transaction(1) is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_case_of_commands_passes_where_all_are_served(version: str) -> None:
    """mod_commands: an EMSP commands what does not exist, and the station hears nothing of it."""
    settings = with_location(capabilities=["REMOTE_START_STOP_CAPABLE", "RESERVABLE", "UNLOCK_CAPABLE"])
    async with open_ocpi_rig(register=False, settings=settings) as rig:
        results = await check(rig.cpo, rig.addresses, version, role="EMSP", only=COMMAND_CASES)
    assert {one.name: one.verdict for one in results} == dict.fromkeys(COMMAND_CASES, Verdict.PASS)
    assert rig.stations.calls == []


async def test_without_a_session_nothing_is_said_of_profiles() -> None:
    """INCONCLUSIVE, with the reason, and never PASS."""
    async with open_ocpi_rig(register=False) as rig:
        results = {one.name: one for one in await check(rig.cpo, rig.addresses, session_within_s=30)}
    for name in ("session", "set", "active", "clear", "push", "result-in-time"):
        assert results[name].verdict is Verdict.INCONCLUSIVE, name
    assert results["session"].said == ("the CSO told of no ACTIVE session within 30 s",)
    assert results["unknown-session"].verdict is Verdict.PASS


async def test_no_limit_is_above_what_held_before(rig: OcpiRig) -> None:
    """A session that is limited to 7 A gets 7 A and less."""
    periods = [{"startPeriod": 0, "limit": 7.0}]
    rig.stations.answers["GetCompositeSchedule"] = {
        "status": "Accepted", "schedule": {**COMPOSITE, "chargingSchedulePeriod": periods},
    }  # fmt: skip
    await check(rig.cpo, rig.addresses)
    sent = [one["chargingProfile"]["chargingSchedule"][0] for one in rig.stations.sent("SetChargingProfile")]
    assert [one["chargingSchedulePeriod"][0]["limit"] for one in sent] == [7.0, 6.1]


async def test_a_station_that_does_not_answer_is_no_fault_of_the_cso(rig: OcpiRig) -> None:
    """Results are REJECTED in time: nothing fails, and nothing about profiles is PASS."""
    for name in ("SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"):
        rig.stations.answers[name] = StationOfflineError("gone")
    results = {one.name: one.verdict for one in await check(rig.cpo, rig.addresses)}
    assert Verdict.FAIL not in results.values()
    assert {results[one] for one in ("active-first", "set", "replace", "active", "clear")} == {Verdict.INCONCLUSIVE}


async def test_too_often_is_waited_for() -> None:
    """mod_charging_profiles: a CSO may limit the requests; the check keeps to that, and blames nobody."""
    async with open_ocpi_rig(register=False, shortest_s={"GET": 60.0, "PUT": 30.0}) as rig:
        rig.stations.transaction("Started", "tx-1", wh=1000)
        await asyncio.sleep(1)
        results = {one.name: one.verdict for one in await check(rig.cpo, rig.addresses)}
    assert {name for name, verdict in results.items() if verdict is Verdict.FAIL} == {"active", "clear-twice"}  # as scripted


@pytest.mark.parametrize("name", ["session", "set", "clear-twice", "result-once", "id-kept", "objects", "unregister"])
async def test_one_case_alone_has_what_it_needs(rig: OcpiRig, name: str) -> None:
    """--only: the cases before it are run without a word, and all is undone."""
    results = await check(rig.cpo, rig.addresses, only=(name,))
    assert [one.name for one in results] == [name]
    assert results[0].verdict is not Verdict.INCONCLUSIVE
    assert not rig.cpo.platform.registry.platforms


async def test_a_stopped_check_takes_its_profile_back(rig: OcpiRig) -> None:
    """Ctrl-C in the middle: what was found stays, the profile is cleared, the registration ends."""
    results, reached = list[CaseResult](), asyncio.Event()

    def tell(line: str) -> None:
        if "replace" in line:
            reached.set()

    work = asyncio.create_task(check(rig.cpo, rig.addresses, tell=tell, results=results))
    await reached.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(rig.stations.sent("ClearChargingProfile")) == 1
    assert not rig.cpo.platform.registry.platforms
    assert [one.verdict for one in results if one.name == "set"] == [Verdict.PASS]
    assert overall(results, aborted=True) is Verdict.ABORTED


async def test_who_stays_registered_says_so(rig: OcpiRig) -> None:
    """--keep: the profile is withdrawn, the registration stays."""
    results = {one.name: one.verdict for one in await check(rig.cpo, rig.addresses, keep=True)}
    assert results["unregister"] is Verdict.NOT_APPLICABLE
    assert len(rig.cpo.platform.registry.platforms) == 1


async def test_a_cso_that_is_not_there_is_no_fail() -> None:
    """It cannot be reached: an error, not a verdict."""
    order = CheckOrder("http://127.0.0.1:9/ocpi/versions", Wishes("a-token-a"), base_url="http://check.bench")
    with pytest.raises(PeerError, match="cannot be reached"):
        await run_check(order, LoopClock(EPOCH), SeededIds(7, "check"), AddressBook(), MemoryJournal(), print, [])


def test_an_unknown_case_is_refused() -> None:
    """The error names those that there are."""
    with pytest.raises(UsageError, match="no case sett; there are versions, register"):
        Wishes("token", only=("sett",))
