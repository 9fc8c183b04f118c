"""Procedures on charging with ISO 15118 (K15, K16, K17); the same file runs on an emulated rig and, with --rig, on hardware.

They need a station and an EV that speak ISO 15118: `--rig emulated-full`, or a target with iso15118. Without an instrument that
acts as the EV, somebody at the console does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

HOUR_S = 3600
EV = {"iso15118": 1, "departure_s": HOUR_S, "energy_wh": 6900, "ev_profile": "inside"}
"""6.9 kWh in an hour at 230 V on three phases: 10 A per phase."""


async def applies(procedure: Procedure) -> None:
    """Tell where the target can do this: the W that are waited for are those of AC on three phases."""
    await procedure.needs("iso15118", current_type="AC", phases=3, unit="A")


async def begin(procedure: Procedure, **settings: float | str) -> None:
    """Start a transaction of an ISO 15118 EV."""
    await applies(procedure)
    await procedure.vehicle({**EV, **settings})
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise()


async def agree(procedure: Procedure) -> None:
    """Start a transaction and let EV and CSMS agree."""
    await begin(procedure)
    assert await procedure.wait_for_needs()
    assert await procedure.wait_for_ev_schedule()
    assert await procedure.wait_for_power(above=4000, within=60)


async def begin_offline(procedure: Procedure) -> None:
    """Start a transaction of an ISO 15118 EV without a network; the CSMS learns of it when the network is back."""
    await procedure.vehicle({**EV, "ev_profile": "none"})
    await procedure.demand(16)
    await procedure.plug()
    await procedure.authorise(240)


def lower(procedure: Procedure, *periods: tuple[int, float]) -> dict[str, Any]:
    """Return a TxProfile for the running transaction in place of the one that answered the needs."""
    running = procedure.transaction
    assert running is not None
    stack_level = min(2, procedure.station.features.profile_stack_level)
    return procedure.profile(
        periods, transaction_id=running.transaction_id, stack_level=stack_level, profile_id=80_000 + procedure.evse.id
    )


@pytest.mark.octt("TC_K_53_CS")
@pytest.mark.requirement("K15.FR.01", "K15.FR.06", "K15.FR.09", "K15.FR.10")
async def test_an_ev_charges_by_the_schedule_that_was_agreed(run: Run) -> None:
    """The EV tells its needs, gets a schedule, answers one inside of it, and keeps to it."""
    async with run(title="Load levelling with ISO 15118", checks=["installed", "composite"]) as procedure:
        await begin(procedure)
        assert await procedure.wait_for_needs()
        schedule = await procedure.wait_for_ev_schedule()
        assert schedule is not None
        assert await procedure.wait_for_power(above=4000, within=60)
        await procedure.wait(40)
        await procedure.composite(60, "A")
        await procedure.wait(10)


@pytest.mark.requirement("K01.FR.07", "K15.FR.01", "K15.FR.06")
async def test_an_ev_without_a_schedule_of_its_own_takes_what_it_may(run: Run) -> None:
    """The EV answers no schedule and takes all that it is allowed: the meter shows it under the CSMS's limit."""
    async with run(title="Load levelling of an EV that takes all", checks=["installed"]) as procedure:
        await begin(procedure, ev_profile="none")
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_power(above=6000, within=60)
        await procedure.wait(30)


@pytest.mark.requirement("K15.FR.01", "K15.FR.10")
async def test_a_schedule_that_needs_time_comes_later(run: Run) -> None:
    """The CSMS says Processing: the EV charges meanwhile, and its profile brings the EV's schedule later."""
    async with run(title="Load levelling, the schedule comes later", checks=["installed", "composite"]) as procedure:
        await procedure.answer_needs("Processing", delay_s=30)
        await begin(procedure)
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_power(above=8000, within=25)
        assert await procedure.wait_for_ev_schedule()
        assert await procedure.wait_for_power(below=6500, within=30)
        await procedure.composite(60, "A")


@pytest.mark.octt("TC_K_54_CS")
@pytest.mark.requirement("K01.FR.07", "K15.FR.01", "K15.FR.06")
async def test_without_a_schedule_of_the_csms_the_ev_charges_under_the_default(run: Run) -> None:
    """The CSMS rejects the needs: the EV charges all the same, under the TxDefaultProfile."""
    async with run(title="ISO 15118, no schedule", checks=["installed"]) as procedure:
        await applies(procedure)
        assert await procedure.set_profile([(0, 9)], purpose="TxDefaultProfile", evse_id=0) == "Accepted"
        await procedure.answer_needs("Rejected")
        await begin(procedure, ev_profile="none")
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_power(above=5500, within=60)
        await procedure.wait(30)


@pytest.mark.octt("TC_K_56_CS")
@pytest.mark.requirement("K07.FR.01", "K15.FR.15")
async def test_offline_the_ev_charges_under_the_default(run: Run) -> None:
    """The network is gone when the EV tells its needs: its schedule comes from the TxDefaultProfile."""
    async with run(title="ISO 15118 offline", checks=["installed"]) as procedure:
        await applies(procedure)
        assert await procedure.set_profile([(0, 9)], purpose="TxDefaultProfile", evse_id=0) == "Accepted"
        await procedure.cut_network(90)
        await procedure.wait(2)
        await begin_offline(procedure)
        await procedure.wait_online(60)
        await procedure.wait(10)


@pytest.mark.requirement("K06.FR.01", "K17.FR.15")
async def test_an_ev_that_renegotiates_offline_stays_under_its_profile(run: Run) -> None:
    """The EV changes its needs while the network is gone: the station's own limits hold."""
    async with run(title="The EV renegotiates offline", checks=["installed"]) as procedure:
        await begin(procedure, ev_profile="none")
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_power(above=6000, within=60)
        await procedure.cut_network(60)
        await procedure.wait(5)
        await procedure.renegotiate({"energy_wh": 9000})
        await procedure.wait(40)
        await procedure.wait_online(120)


@pytest.mark.octt("TC_K_57_CS")
@pytest.mark.requirement("K17.FR.01", "K17.FR.06", "K17.FR.09", "K17.FR.10")
async def test_the_ev_renegotiates(run: Run) -> None:
    """The EV asks for more energy in the same time: needs, profile and the EV's schedule come anew, and power rises."""
    async with run(title="The EV renegotiates", checks=["installed", "composite"]) as procedure:
        await agree(procedure)
        await procedure.renegotiate({"energy_wh": 10_000})
        assert await procedure.wait_for_needs(20)
        assert await procedure.wait_for_ev_schedule(70)
        assert await procedure.wait_for_power(above=7200, within=60)
        await procedure.composite(60, "A")


@pytest.mark.octt("TC_K_58_CS")
@pytest.mark.requirement("K16.FR.01", "K16.FR.04", "K16.FR.05", "K16.FR.09")
async def test_the_csms_renegotiates(run: Run) -> None:
    """The CSMS sends another profile in the session: the EV answers within it, and its needs are not told again."""
    async with run(title="The CSMS renegotiates", checks=["installed", "composite"]) as procedure:
        await agree(procedure)
        assert await procedure.negotiate(lower(procedure, (0, 8))) == "Accepted"
        assert await procedure.wait_for_ev_schedule(70)
        assert await procedure.wait_for_power(below=5000, within=30)
        await procedure.composite(60, "A")
        await procedure.wait(40)


@pytest.mark.requirement("K16.FR.01")
async def test_a_lower_schedule_of_the_csms_lowers_the_ev(run: Run) -> None:
    """Down at once, and down again a minute later: the EV does not run past a step of its schedule (K16.FR.11)."""
    two = {"limits": 2, "lowerings": 2}
    async with run(title="The CSMS lowers an EV", checks=["installed", "power"], must_exercise=two) as procedure:
        await begin(procedure, ev_profile="none", energy_wh=11_000)
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.negotiate(lower(procedure, (0, 12), (60, 7))) == "Accepted"
        schedule = await procedure.wait_for_ev_schedule(70)
        assert schedule is not None
        await procedure.wait(90)


@pytest.mark.requirement("K15.FR.09", "K16.FR.04")
async def test_an_ev_that_plans_too_much_does_not_get_it(run: Run) -> None:
    """The EV answers a schedule above the CSMS's, again and again: what it draws stays under the CSMS's."""
    async with run(title="An EV that plans too much", checks=["installed"]) as procedure:
        await begin(procedure, ev_profile="stubborn")
        assert await procedure.wait_for_needs(70)
        assert await procedure.wait_for_ev_schedule()
        assert await procedure.wait_for_power(above=6000, within=60)
        await procedure.wait(40)
