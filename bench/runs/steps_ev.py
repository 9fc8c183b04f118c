"""Steps at the plug: the EV, the card, the transaction, the power that flows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.cso.station import Transaction
from bench.domain.documents import Kind
from bench.errors import RigError, StationError
from bench.runs.hard_caps import refuse_demand
from bench.runs.steps import Steps

END_PATIENCE_S: Final = 60.0
"""How long a transaction may take to end."""


class EvSteps(Steps):
    """What a person does at the EVSE, and what is waited for there."""

    async def plug(self) -> None:
        """Connect the EV."""
        async with self.step("plug", evse=self.evse.id):
            await self.act("plug", evse_id=self.evse.id)

    async def unplug(self) -> None:
        """Disconnect the EV and wait for the end of its transaction. Raises StationError."""
        async with self.step("unplug", evse=self.evse.id):
            running = self.transaction
            await self.act("unplug", evse_id=self.evse.id)
            await self._ended(running)

    async def demand(self, amperes: float) -> None:
        """Set what the EV wants, in A per phase."""
        refuse_demand(self.bench.settings, amperes, "demand:")
        async with self.step("demand", evse=self.evse.id, amperes=amperes):
            await self.act("demand", evse_id=self.evse.id, amperes=amperes)

    async def vehicle(self, settings: Mapping[str, Any]) -> None:
        """Put another EV before the EVSE."""
        async with self.step("vehicle", evse=self.evse.id, **settings):
            await self.act("vehicle", evse_id=self.evse.id, settings=dict(settings))

    async def authorise(self, within_s: float = 60) -> Transaction:
        """Present a token and wait for the transaction. Raises StationError."""
        async with self.step("authorise", evse=self.evse.id):
            token = self._token()
            if self.bench.scsp is not None:
                await self.bench.scsp.own(token)
            await self.act("authorise", evse_id=self.evse.id, id_token=token)
            return await self._started(within_s)

    async def renegotiate(self, needs: Mapping[str, float | str]) -> None:
        """Let the ISO 15118 EV change its charging needs and ask for another schedule (K17)."""
        async with self.step("renegotiate", evse=self.evse.id, needs=dict(needs)):
            await self.act("renegotiate", evse_id=self.evse.id, needs=dict(needs))

    async def request_start(
        self, profile: Mapping[str, Any] | None = None, *, evse_id: int | None = None, broken: bool = False
    ) -> dict[str, Any]:
        """Send RequestStartTransaction, with a raw ChargingProfile if one is given; return the answer (F01, K05).

        Args: broken: the profile may break the specification on purpose, and nothing is checked before it is sent.

        The token goes with it. Where the station accepts, `wait_for_transaction` tells when charging has begun.
        """
        evse_id = self.evse.id if evse_id is None else evse_id
        async with self.step("request_start", evse=evse_id, profile=profile):
            request: dict[str, Any] = {
                "idToken": {"idToken": self._token(), "type": "Central"},
                "remoteStartId": self.bench.ids.number(2**31 - 1),
                "evseId": evse_id,
            }
            if profile is not None:
                request["chargingProfile"] = dict(profile)
                self.course.own_ids.add(profile["id"])
            return await self.bench.csms.call(self.station.id, "RequestStartTransaction", request, check=not broken)

    async def request_stop(self) -> dict[str, Any]:
        """Send RequestStopTransaction for the EVSE's transaction and return the answer. Raises StationError."""
        async with self.step("request_stop", evse=self.evse.id):
            return await self._stop()

    async def stop(self) -> None:
        """Stop the EVSE's transaction from the CSMS and wait for its end. Raises StationError."""
        async with self.step("stop", evse=self.evse.id):
            running = self.transaction
            answer = await self._stop()
            if answer["status"] != "Accepted":
                raise StationError(f"{self.station.id}: RequestStopTransaction was answered with {answer['status']}")
            await self._ended(running)

    async def wait_for_transaction(self, within_s: float = 60) -> Transaction:
        """Wait until a transaction runs on the EVSE and return it. Raises StationError."""
        async with self.step("wait_for_transaction", evse=self.evse.id, within_s=within_s):
            return await self._started(within_s)

    async def wait_for_power(
        self, *, above: float | None = None, below: float | None = None, within: float = 60
    ) -> float | None:
        """Wait until the EVSE's meter shows more, or less, than so many W; return the power, None if it did not within so many s.

        Raises: RigError where no meter measures the EVSE.
        """
        low, high = float("-inf") if above is None else above, float("inf") if below is None else below
        async with self.step("wait_for_power", evse=self.evse.id, above=above, below=below, within_s=within):
            if self.sampler is None:
                raise RigError(f"no meter measures EVSE {self.evse.id} of {self.station.id}")
            return await self.sampler.wait_for(lambda power: low < power < high, within)

    async def power_cycle(self, *, wait: bool = True) -> None:
        """Switch the station off and on, and wait until it has booted again, where that can be heard. Raises StationError."""
        async with self.step("power_cycle"):
            state = self.bench.csms.stations[self.station.id]
            before = state.booted
            await self.act("power_cycle")
            if wait:
                await self._booted(before)

    def _token(self) -> str:
        token = self.bench.ids.token(14).upper()
        self.bench.journal.secret(token)
        return token

    async def _stop(self) -> dict[str, Any]:
        running = self.transaction
        if running is None:
            raise StationError(f"{self.station.id}: there is no transaction on EVSE {self.evse.id} to stop")
        request = {"transactionId": running.transaction_id}
        return await self.bench.csms.call(self.station.id, "RequestStopTransaction", request)

    async def _started(self, within_s: float) -> Transaction:
        if not await self.bench.csms.wait_until(lambda: self.transaction is not None, within_s):
            raise StationError(f"{self.station.id}: no transaction on EVSE {self.evse.id} within {within_s:g} s")
        running = self.transaction
        assert running is not None
        return running

    async def _ended(self, running: Transaction | None) -> None:
        if running is not None and not await self.bench.csms.wait_until(lambda: running.ended is not None, END_PATIENCE_S):
            text = f"{self.station.id}: transaction {running.transaction_id} did not end within {END_PATIENCE_S:g} s"
            raise StationError(text)

    async def _booted(self, before: Any, within_s: float = 120) -> None:
        """Wait for a boot other than the one of that time. Raises StationError."""
        state = self.bench.csms.stations[self.station.id]
        if not await self.bench.csms.wait_until(lambda: state.booted != before and state.online, within_s):
            self.bench.journal.write(
                Kind.FINDING,
                {"source": "station", "station": self.station.id, "code": "no_boot", "text": "it did not boot", "refs": []},
            )
            raise StationError(f"{self.station.id}: did not boot within {within_s:g} s")
