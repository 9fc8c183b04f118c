"""An emulated station with an ISO 15118 EV, for tests of both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support_firmware import Json, Lab, charging_profile, open_lab, specification

NEEDS, SCHEDULE = "NotifyEVChargingNeeds", "NotifyEVChargingSchedule"


@asynccontextmanager
async def iso_lab(
    needs: str | None = "Accepted", schedule: str = "Accepted", features: Json | None = None, **ev: Any
) -> AsyncIterator[Lab]:
    """Start a station that speaks ISO 15118, with an EV that does before EVSE 1, and a CSMS with these answers."""
    async with open_lab(specification(features={"iso15118": True, "external_limits": True, **(features or {})})) as lab:
        lab.csms.answers[NEEDS] = lambda _: None if needs is None else {"status": needs}
        lab.csms.answers[SCHEDULE] = lambda _: {"status": schedule}
        await lab.control.vehicle(1, {"iso15118": 1, **ev})
        yield lab


async def begin(lab: Lab) -> str:
    """Plug and authorise, and return the transaction's id."""
    await lab.control.plug(1)
    await lab.control.authorise(1, "CARD-1")
    started = await lab.csms.until("TransactionEvent", lambda one: one["eventType"] == "Started")
    transaction_id: str = started["transactionInfo"]["transactionId"]
    return transaction_id


async def begin_told(lab: Lab) -> str:
    """As `begin`, until the EV has told its needs."""
    transaction_id = await begin(lab)
    await lab.csms.until(NEEDS)
    return transaction_id


def tx_profile(transaction_id: str, *schedules: list[tuple[float, float]], **more: Any) -> Json:
    """Return a TxProfile with several schedules, their ids 11, 12, 13."""
    profile = charging_profile(*schedules[0], purpose="TxProfile", transaction_id=transaction_id, **more)
    first = profile["chargingSchedule"][0]
    profile["chargingSchedule"] = [
        {**first, "id": 11 + index, "chargingSchedulePeriod": [{"startPeriod": at, "limit": limit} for at, limit in periods]}
        for index, periods in enumerate(schedules)
    ]
    return profile


async def install(lab: Lab, profile: Json) -> str:
    """Send SetChargingProfile to EVSE 1 and return status and reason code."""
    answer = await lab.csms.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
    return " ".join([answer["status"], *([answer["statusInfo"]["reasonCode"]] if "statusInfo" in answer else [])])


async def composite(lab: Lab, evse_id: int = 1) -> list[tuple[int, float]]:
    """Return the periods of the next hour's composite schedule in A."""
    request = {"evseId": evse_id, "duration": 3600, "chargingRateUnit": "A"}
    answer = await lab.csms.ask("GetCompositeSchedule", request)
    return [(one["startPeriod"], one["limit"]) for one in answer["schedule"]["chargingSchedulePeriod"]]
