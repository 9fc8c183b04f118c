"""Reading and shifting a station's clock, on a station that keeps its own time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bench.adapters.clock import LoopClock
from bench.adapters.ids import SeededIds
from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.errors import RigError, StationError
from bench.runs.commission_model import SAMPLED, Sampling, read_device_model
from bench.runs.station_clock import StationClock, measure_clock, open_shifted_clocks
from tests.clocked_station import ClockedStation
from tests.stations import rig_settings
from tests.support import EPOCH, MemoryJournal

pytestmark = pytest.mark.virtual
STATION = "CS-1"
SIX_HOURS = timedelta(hours=6)


class Rig:
    """A CSMS in virtual time."""

    def __init__(self) -> None:
        self.clock, self.journal = LoopClock(EPOCH), MemoryJournal()
        self.csms = Csms(self.clock, self.journal, SeededIds(1, "csms"), rig_settings(call_timeout_s=5))
        self.station_clock = StationClock(self.csms, self.clock, self.journal, STATION)

    def settings(self) -> list[dict[str, float]]:
        """Return the settings of the station's clock that were journalled."""
        return [one["value"] for one in self.journal.of(Kind.SETTING) if one["what"] == "station_clock"]

    def findings(self) -> list[str]:
        """Return the codes of all findings."""
        return [one["code"] for one in self.journal.of(Kind.FINDING)]


@pytest.mark.parametrize("digits", [0, 3])
async def test_a_clock_is_measured(digits: int) -> None:
    """It is 2.4 s ahead: whole seconds are pinned at the roll-over, milliseconds at once."""
    rig = Rig()
    async with ClockedStation(rig.clock, offset_s=2.4, follows=False, digits=digits).connected(rig.csms):
        found = await measure_clock(rig.csms, rig.clock, STATION)
    assert abs(found.offset_s - 2.4) <= found.uncertainty_s <= 0.02
    assert found.rollovers >= 5


async def test_boot_and_heartbeat_tell_the_shifted_time() -> None:
    """Six hours ahead; the base of profiles' times is ahead as well."""
    rig = Rig()
    rig.csms.shift_clock(STATION, SIX_HOURS)
    station = ClockedStation(rig.clock)
    async with station.connected(rig.csms):
        found = await rig.station_clock.take_effect()
    assert found.offset_s == pytest.approx(SIX_HOURS.total_seconds(), abs=0.1)
    assert rig.csms.station_time(STATION) - rig.clock.now() == SIX_HOURS


async def test_the_shift_is_read_back_and_journalled_and_so_is_its_end() -> None:
    """What was served and what was measured, both times."""
    rig = Rig()
    rig.csms.shift_clock(STATION, SIX_HOURS)
    station = ClockedStation(rig.clock)
    station.variables["ClockCtrlr", "TimeSource"] = "NTP,Heartbeat"
    async with station.connected(rig.csms):
        await rig.station_clock.take_effect()
        await rig.station_clock.restore()
    shifted, restored = rig.settings()
    assert (shifted["offset_s"], restored["offset_s"]) == (21_600.0, 0.0)
    assert [shifted["measured_s"], restored["measured_s"]] == pytest.approx([21_600.0, 0.0], abs=0.1)
    assert rig.findings() == []


async def test_a_station_that_takes_its_time_from_elsewhere_is_refused() -> None:
    """TimeSource names no Heartbeat: nothing is run in a time that the station does not have."""
    rig = Rig()
    rig.csms.shift_clock(STATION, SIX_HOURS)
    station = ClockedStation(rig.clock, follows=False)
    station.variables["ClockCtrlr", "TimeSource"] = "NTP"
    async with station.connected(rig.csms):
        with pytest.raises(RigError, match="takes its time from NTP, not from Heartbeat"):
            await rig.station_clock.take_effect()
    assert rig.settings() == []


async def test_a_clock_that_does_not_follow_is_told() -> None:
    """TimeSource is not told, and DateTime stays where it was."""
    rig = Rig()
    rig.csms.shift_clock(STATION, SIX_HOURS)
    async with ClockedStation(rig.clock, follows=False).connected(rig.csms):
        with pytest.raises(StationError, match="does not follow the served time"):
            await rig.station_clock.take_effect()
    assert rig.findings() == ["time_source_unknown"]


async def test_a_station_that_has_gone_gets_the_true_time_later() -> None:
    """Restoring a clock that cannot be reached is a finding, not an error."""
    rig = Rig()
    rig.csms.shift_clock(STATION, SIX_HOURS)
    async with ClockedStation(rig.clock).connected(rig.csms):
        pass
    await rig.station_clock.restore()
    assert rig.findings() == ["clock_not_restored"]
    assert rig.csms.station_time(STATION) == rig.clock.now()


@pytest.mark.parametrize("follows", [True, False])
async def test_whether_a_clock_takes_the_heartbeat_is_tried(follows: bool) -> None:
    """100 s ahead and back again."""
    rig = Rig()
    station = ClockedStation(rig.clock, follows=follows)
    async with station.connected(rig.csms):
        assert await rig.station_clock.follows_heartbeat() is follows
    assert station.offset_s == pytest.approx(0, abs=0.1)


async def test_a_served_bench_shifts_each_station_that_boots_and_sets_it_right() -> None:
    """`bench serve`: read back after the boot, and again at the end."""
    rig = Rig()
    station = ClockedStation(rig.clock)
    async with station.connected(rig.csms):
        async with open_shifted_clocks(rig.csms, rig.clock, rig.journal, SIX_HOURS):
            await station.boot()
            await rig.clock.sleep(30)
            assert station.offset_s == pytest.approx(21_600, abs=0.1)
        assert station.offset_s == pytest.approx(0, abs=0.1)
    assert [one["offset_s"] for one in rig.settings()] == [21_600.0, 0.0]


async def test_a_served_bench_goes_on_when_a_clock_does_not_follow() -> None:
    """It is a finding."""
    rig = Rig()
    station = ClockedStation(rig.clock, follows=False)
    async with station.connected(rig.csms), open_shifted_clocks(rig.csms, rig.clock, rig.journal, SIX_HOURS):
        await station.boot()
        await rig.clock.sleep(120)
    assert "clock_not_shifted" in rig.findings()


def data(component: str, variable: str, value: str) -> dict[str, object]:
    """Return one ReportDataType."""
    return {"component": {"name": component}, "variable": {"name": variable}, "variableAttribute": [{"value": value}]}


async def test_a_base_report_is_read_in_parts() -> None:
    """`tbc` says that more follow."""
    rig = Rig()
    station = ClockedStation(rig.clock)
    common = {"generatedAt": "2026-01-15T00:00:00Z"}
    station.report = [
        {**common, "tbc": True, "reportData": [data("SmartChargingCtrlr", "RateUnit", "A")]},
        {**common, "reportData": [data("ClockCtrlr", "TimeSource", "Heartbeat")]},
    ]
    async with station.connected(rig.csms):
        model = await read_device_model(rig.csms, SeededIds(1, "x"), STATION)
    assert [one.variable for one in model.variables] == ["RateUnit", "TimeSource"]
    assert (model.complete, model.notes) == (True, ())


async def test_a_report_that_does_not_end_is_filled_up_by_asking() -> None:
    """The second part never comes: what is there is kept, the rest is asked for, and both are told."""
    rig = Rig()
    station = ClockedStation(rig.clock)
    station.variables["ClockCtrlr", "TimeSource"] = "Heartbeat"
    entry = data("SmartChargingCtrlr", "RateUnit", "A")
    station.report = [{"generatedAt": "2026-01-15T00:00:00Z", "tbc": True, "reportData": [entry]}]
    async with station.connected(rig.csms):
        model = await read_device_model(rig.csms, SeededIds(1, "x"), STATION)
    assert {one.variable for one in model.variables} == {"RateUnit", "TimeSource", "DateTime"}
    assert model.notes == ("the last part of the report did not come", "what is missing was asked for")


async def test_a_station_without_a_report_is_asked_one_by_one() -> None:
    """NotSupported: GetVariables tells what it can."""
    rig = Rig()
    station = ClockedStation(rig.clock)
    station.variables["SmartChargingCtrlr", "RateUnit"] = "W"
    async with station.connected(rig.csms):
        model = await read_device_model(rig.csms, SeededIds(1, "x"), STATION)
    assert {one.variable: one.value for one in model.variables}["RateUnit"] == "W"
    assert model.notes == ("GetBaseReport was answered NotSupported; the variables were asked for one by one",)


async def test_measurands_are_set_as_far_as_they_are_taken_and_put_back() -> None:
    """The list with SoC is refused as a whole: it is left out, told, and at the end the old values stand again."""
    rig = Rig()
    station = ClockedStation(rig.clock)
    measurands, interval = ("SampledDataCtrlr", "TxUpdatedMeasurands"), ("SampledDataCtrlr", "TxUpdatedInterval")
    before = {measurands: "Voltage", interval: "300"}
    station.variables |= before
    station.lists[measurands] = ("Voltage", *SAMPLED[:-1])
    sampling = Sampling(rig.csms, STATION)
    async with station.connected(rig.csms):
        await sampling.set(await read_device_model(rig.csms, SeededIds(1, "x"), STATION))
        assert station.variables[measurands] == ",".join(SAMPLED[:-1])
        assert station.variables[interval] == "10"
        await sampling.restore()
    assert station.variables == before
    assert "SampledDataCtrlr.TxUpdatedMeasurands: the station does not take SoC" in sampling.notes
