"""Steps at the network between station and CSMS, and how long a station may take to come back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from bench.cso.csms import Csms
from bench.domain.documents import Kind
from bench.domain.link import DEFAULT_BACK_OFF, BackOff, Direction, LinkFault, LinkMode
from bench.errors import EvidenceError, RigError, StationError, UsageError
from bench.runs.steps_ev import EvSteps

CONNECT_S: Final = 30.0
"""What an attempt to connect may take once it is made: name resolution, TLS, opening handshake, BootNotification."""
_NAMES: Final = ("RetryBackOffWaitMinimum", "RetryBackOffRandomRange", "RetryBackOffRepeatTimes")


class NetworkSteps(EvSteps):
    """What happens to the connection. Waits come from the station's own back-off (OCPP 2.0.1 Part 4, section 5.3)."""

    async def cut_network(self, seconds: float) -> None:
        """Take the station's network away for so long; the run goes on meanwhile.

        Where the rig has [link], its relay resets all connections for so long; else whoever acts on the station does it.
        """
        async with self.step("cut_network", seconds=seconds):
            await self._know_back_off()
            if self.bench.link is None:
                await self.act("cut_network", seconds=seconds)
            else:
                self._disturb(LinkFault("reset", seconds))
            self.course.network_back_at = max(self.course.network_back_at, self.bench.clock.monotonic() + seconds)
            self.course.outage_s = seconds

    async def disturb_link(
        self, mode: LinkMode, seconds: float = 0, *, direction: Direction = "both", delay_s: float = 0, bytes_per_s: float = 0
    ) -> None:
        """Disturb the connections of the rig's stations for so long, see `LinkFault`; the run goes on meanwhile.

        Args: seconds: 0 only for close and reset: once. direction, delay_s, bytes_per_s: see `LinkFault`.
        Raises: UsageError for what makes no sense, RigError where the rig file has no [link].
        """
        settings: dict[str, Any] = {"mode": mode, "seconds": seconds, "direction": direction}
        settings |= {"delay_s": delay_s} if delay_s else {}
        settings |= {"bytes_per_s": bytes_per_s} if bytes_per_s else {}
        try:
            fault = LinkFault(mode, seconds, direction, delay_s, bytes_per_s)
        except ValueError as error:
            raise UsageError(f"disturb_link: {error}") from None
        async with self.step("disturb_link", **settings):
            await self._know_back_off()
            self._disturb(fault)
            if fault.mode in ("close", "reset", "refuse", "swallow"):
                self.course.network_back_at = self.bench.clock.monotonic() + seconds
                self.course.outage_s = seconds

    async def wait_online(self, within_s: float | None = None) -> None:
        """Wait until the station is connected. Raises StationError.

        Args: within_s: None: until the network is back, then as long as the station's back-off can last.
        """
        within_s = self.reconnect_patience_s() if within_s is None else within_s
        async with self.step("wait_online", within_s=round(within_s, 3)):
            state = self.bench.csms.stations[self.station.id]
            if not await self.bench.csms.wait_until(lambda: state.online, within_s):
                raise StationError(f"{self.station.id}: is not online after {within_s:g} s")

    def reconnect_patience_s(self) -> float:
        """Return how long from now the station may take to be connected again."""
        back_off = self.course.back_off or DEFAULT_BACK_OFF
        until_back = max(0.0, self.course.network_back_at - self.bench.clock.monotonic())
        return until_back + back_off.after(self.course.outage_s) + CONNECT_S

    def _disturb(self, fault: LinkFault) -> None:
        link, journal, station = self.bench.link, self.bench.journal, self.station.id
        if link is None:
            raise RigError("nothing can disturb the link: the rig file has no [link] table; add one")

        def over() -> None:
            with suppress(EvidenceError, OSError):  # the run's next document tells it; the safe state must not end here
                journal.write(Kind.LINK_FAULT, {"station": station, "mode": "none", "seconds": 0})

        link.restore()
        begin: dict[str, Any] = {"station": station, "mode": fault.mode, "seconds": fault.seconds}
        begin |= {"direction": fault.direction} if fault.mode in ("swallow", "delay", "throttle") else {}
        begin |= {"delay_s": fault.delay_s} if fault.delay_s else {}
        begin |= {"bytes_per_s": fault.bytes_per_s} if fault.bytes_per_s else {}
        journal.write(Kind.LINK_FAULT, begin)
        link.disturb(fault, over)

    async def _know_back_off(self) -> None:
        """Ask the station for its back-off, once, while it can be asked."""
        if self.course.back_off is None:
            self.course.back_off = await read_back_off(self.bench.csms, self.station.id)
            data = {"wait_minimum_s": self.course.back_off.wait_minimum_s, "random_range_s": self.course.back_off.random_range_s,
                    "repeat_times": self.course.back_off.repeat_times}  # fmt: skip
            origin = "bench" if self.course.back_off == DEFAULT_BACK_OFF else "station"
            self.bench.journal.write(Kind.SETTING, {"what": "retry_back_off", "value": data, "origin": origin})


async def read_back_off(csms: Csms, station: str) -> BackOff:
    """Return how the station backs off, as its device model tells it; what it does not tell, by DEFAULT_BACK_OFF."""
    asked = [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": name}} for name in _NAMES]
    told: dict[str, float] = {}
    try:
        answer = await csms.call(station, "GetVariables", {"getVariableData": asked})
    except StationError:
        return DEFAULT_BACK_OFF
    for one in answer["getVariableResult"]:
        try:
            value = float(one["attributeValue"]) if one["attributeStatus"] == "Accepted" else -1.0
        except (KeyError, ValueError):
            continue
        if 0 <= value <= 86_400:
            told[str(one["variable"]["name"]).casefold()] = value
    default = (DEFAULT_BACK_OFF.wait_minimum_s, DEFAULT_BACK_OFF.random_range_s, float(DEFAULT_BACK_OFF.repeat_times))
    wait, spread, times = (told.get(name.casefold(), value) for name, value in zip(_NAMES, default, strict=True))
    return BackOff(wait, spread, int(times))
