"""Acts on and looks at an emulated station in another process, over its HTTP/JSON control port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bench.errors import RigError

_TIMEOUT_S = 10.0


class HttpControl:
    """Fits RigControl and Witness; one station behind one URL. Each method raises RigError where the other end refuses."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def plug(self, evse_id: int) -> None:
        """Connect the EV's cable."""
        await self._post("plug", evse_id=evse_id)

    async def unplug(self, evse_id: int) -> None:
        """Disconnect the EV's cable."""
        await self._post("unplug", evse_id=evse_id)

    async def authorise(self, evse_id: int, id_token: str) -> None:
        """Present an identification token at the station."""
        await self._post("authorise", evse_id=evse_id, id_token=id_token)

    async def demand(self, evse_id: int, amperes: float) -> None:
        """Set the current per phase that the driver's EV wants, in A."""
        await self._post("demand", evse_id=evse_id, amperes=amperes)

    async def vehicle(self, evse_id: int, settings: Mapping[str, float | str]) -> None:
        """Put another EV before the EVSE."""
        await self._post("vehicle", evse_id=evse_id, settings=dict(settings))

    async def power_cycle(self) -> None:
        """Switch the station's supply off and on."""
        await self._post("power_cycle")

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for that long."""
        await self._post("cut_network", seconds=seconds)

    async def contactor(self, closed: bool) -> None:
        """Open or close the contactor in the supply of the station."""
        await self._post("contactor", closed=closed)

    async def external_limit(
        self, limit: float | None, unit: str = "A", *, source: str = "EMS", periods: Sequence[tuple[int, float]] = ()
    ) -> None:
        """Limit the whole station from outside, past the CSMS; None releases it."""
        await self._post("external_limit", limit=limit, unit=unit, source=source, periods=[list(one) for one in periods])

    async def supply(self, volts: float) -> None:
        """Give the station another supply voltage, V phase to neutral."""
        await self._post("supply", volts=volts)

    async def reference_load(self, evse_id: int, amperes: Sequence[float]) -> None:
        """Draw a known current behind the EVSE's meter."""
        await self._post("reference_load", evse_id=evse_id, amperes=list(amperes))

    async def renegotiate(self, evse_id: int, needs: Mapping[str, float | str]) -> None:
        """Let the ISO 15118 EV ask for another schedule."""
        await self._post("renegotiate", evse_id=evse_id, needs=dict(needs))

    async def seed_fault(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault."""
        await self._post("seed_fault", id=fault_id, params=dict(params))

    async def look(self, evse_id: int) -> Mapping[str, object]:
        """Return `state`, `duty_percent` and `ev_wants_a`."""
        answer = await self._answer("GET", "look", params={"evse_id": evse_id})
        return {name: answer.get(name) for name in ("state", "duty_percent", "ev_wants_a")}

    async def contactor_closed(self) -> bool | None:
        """Return how the contactor stands."""
        closed = (await self._answer("GET", "state")).get("contactor_closed")
        return closed if isinstance(closed, bool) else None

    async def _post(self, action: str, **arguments: Any) -> None:
        await self._answer("POST", action, json=arguments)

    async def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        where = f"control {str(self._client.base_url).rstrip('/')}/{path}"
        try:
            response = await self._client.request(method, path, **request)
            answer = response.json() if response.content else {}
        except httpx.ConnectError:
            raise RigError(f"{where}: nothing listens there; start `python -m firmware_sim`") from None
        except (httpx.HTTPError, ValueError) as error:
            raise RigError(f"{where}: {str(error) or type(error).__name__}") from None
        if response.is_error:
            raise RigError(f"{where}: {response.status_code}: {answer.get('error', '') if isinstance(answer, dict) else ''}")
        return answer if isinstance(answer, dict) else {}


@asynccontextmanager
async def open_http_control(url: str) -> AsyncIterator[HttpControl]:
    """Reach the control port; raises RigError where nothing answers."""
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False, verify=url.startswith("https")) as client:
        control = HttpControl(client)
        await control.look(1)
        yield control


class HttpSwitch:
    """Fits PowerSwitch: the contactor of the emulated station in another process."""

    def __init__(self, control: HttpControl) -> None:
        self._control = control

    async def switch(self, closed: bool) -> None:
        """Close or open it. Raises RigError."""
        await self._control.contactor(closed)

    async def is_closed(self) -> bool | None:
        """Read back how it stands. Raises RigError."""
        return await self._control.contactor_closed()


@asynccontextmanager
async def open_http_switch(url: str) -> AsyncIterator[HttpSwitch]:
    """Reach the contactor behind a control port; raises RigError where nothing answers."""
    async with open_http_control(url) as control:
        yield HttpSwitch(control)
