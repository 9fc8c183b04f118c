"""Procedures on charging profiles that a station has to refuse (K01): the answer, and that they limit nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin import Run
    from bench.runs.procedure import Procedure

ANSWERS = ["installed"]
"""Judged beside the answers: that what was refused is not stored."""
UNKNOWN = "NO-SUCH-TRANSACTION"


def full_a(procedure: Procedure) -> float:
    """Return the demand in A with which an EV takes some 10 kW: on three phases, or on DC at 400 V."""
    return 25 if procedure.station.features.current_type == "DC" else 16


@pytest.mark.octt("TC_K_02_CS")
@pytest.mark.requirement("K01.FR.09")
async def test_a_tx_profile_without_a_transaction_is_refused(run: Run) -> None:
    """A TxProfile for an EVSE at rest is refused, and the transaction that comes later is free of it."""
    async with run(title="A TxProfile without a transaction", checks=ANSWERS) as procedure:
        await procedure.demand(full_a(procedure))
        assert await procedure.set_profile([(0, 6)], transaction_id=UNKNOWN, broken=True) == "Rejected"
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)


@pytest.mark.octt("TC_K_11_CS")
@pytest.mark.requirement("K01.FR.16")
async def test_a_tx_profile_on_evse_0_is_refused(run: Run) -> None:
    """A TxProfile for the whole station is refused and limits nobody: the EV goes on under the profile that it had."""
    async with run(title="A TxProfile on EVSE 0 is refused", checks=["power"]) as procedure:
        await procedure.needs(current_type="AC")
        await procedure.demand(16)
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 10)]) == "Accepted"
        await procedure.wait(30)
        assert await procedure.set_profile([(0, 6)], evse_id=0, stack_level=1, profile_id=78, broken=True) != "Accepted"
        assert not await procedure.wait_for_power(below=6000, within=20)


@pytest.mark.octt("TC_K_12_CS")
@pytest.mark.requirement("K01.FR.26")
async def test_a_unit_that_is_not_supported_is_refused(run: Run) -> None:
    """A station that knows one rate unit refuses a profile in the other one."""
    async with run(title="A rate unit that is not supported", checks=ANSWERS) as procedure:
        unit, limit = ("W", 6000.0) if "A" in procedure.station.features.rate_units else ("A", 6.0)
        await procedure.needs("smart_charging", without=unit)
        answer = await procedure.set_profile([(0, limit)], unit=unit, purpose="TxDefaultProfile", broken=True)
        assert answer == "Rejected"


@pytest.mark.octt("TC_K_14_CS")
@pytest.mark.requirement("K01.FR.28")
async def test_an_unknown_evse_is_refused(run: Run) -> None:
    """A profile for an EVSE that the station does not have is refused."""
    async with run(title="A profile for an unknown EVSE", checks=ANSWERS) as procedure:
        beyond = max(one.id for one in procedure.station.evse) + 1
        assert await procedure.set_profile([(0, 6)], purpose="TxDefaultProfile", evse_id=beyond, broken=True) == "Rejected"


@pytest.mark.octt("TC_K_15_CS")
@pytest.mark.requirement("K01.FR.29")
async def test_a_station_without_smart_charging_answers_with_an_error(run: Run) -> None:
    """Where smart charging is not supported a profile is answered with the CALLERROR NotSupported or NotImplemented."""
    async with run(title="Smart charging is not supported", checks=["conduct"]) as procedure:
        await procedure.needs(without="smart_charging")
        profile = procedure.profile([(0, 6)], purpose="TxDefaultProfile")
        assert await procedure.send_profile(procedure.evse.id, profile, broken=True) in ("NotSupported", "NotImplemented")


@pytest.mark.octt("TC_K_16_CS")
@pytest.mark.requirement("K01.FR.33")
async def test_an_unknown_transaction_is_refused(run: Run) -> None:
    """While a transaction runs, a TxProfile for another one is refused and limits nobody."""
    async with run(title="A TxProfile for an unknown transaction", checks=ANSWERS) as procedure:
        await procedure.demand(full_a(procedure))
        await procedure.plug()
        await procedure.authorise()
        assert await procedure.wait_for_power(above=8000, within=60)
        assert await procedure.set_profile([(0, 6)], transaction_id=UNKNOWN, broken=True) == "Rejected"
        assert not await procedure.wait_for_power(below=6000, within=15)
