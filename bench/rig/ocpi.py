"""OCPI on a bench: the CSO's platform beside the CSMS, and for a scenario the mock SCSP that registers with it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.adapters.control_socket import Answerer
from bench.adapters.interfaces import reachable_addresses
from bench.adapters.json_store import JsonStore
from bench.adapters.ocpi_client import AddressBook
from bench.cso.csms import Csms
from bench.cso.local_limits import LocalLimits
from bench.cso.ocpi.record import SessionRecord, evse_uid
from bench.cso.relay import Outcome
from bench.cso.station import Transaction
from bench.domain.documents import Kind
from bench.errors import RigError, UsageError
from bench.peers.books import ACCEPTED, SentOrder
from bench.peers.msp import MockMsp, open_msp
from bench.peers.plan import plan_day_ahead
from bench.peers.scsp import MockScsp, open_scsp
from bench.ports import Clock, IdSource, Journal
from bench.rig.cpo import Cpo, open_cpo
from bench.rig.serve import ServedOcpi, ServeOrder
from bench.settings.base import load
from bench.settings.ocpi import OcpiSettings
from bench.settings.scenario import PriceCurve, ScspPlan

if TYPE_CHECKING:
    from bench.rig.session import Order


class DayAheadScsp:
    """The mock SCSP with its price curve: plans for a session and sends the plan. Fits `runs.bench.PlanSender`."""

    def __init__(
        self, scsp: MockScsp, plan: ScspPlan, curve: PriceCurve | None, journal: Journal, clock: Clock, *,
        evse: str, place: tuple[str, int], began: datetime, limits: LocalLimits, msp: MockMsp | None,
    ) -> None:  # fmt: skip
        self._scsp, self._plan, self._curve, self._journal = scsp, plan, curve, journal
        self._clock, self._evse, self._place, self._began = clock, evse, place, began
        self._limits, self._msp = limits, msp
        self._told: dict[str, int] = {}

    async def own(self, uid: str) -> None:
        """Let the MSP in front own a card. Raises PeerError."""
        if self._msp is not None:
            self._msp.add_token(uid)
            await self._msp.push_token(uid)

    async def send_plan(self, within_s: float) -> str:
        """Plan for the running session, send the ChargingProfile, return the result's word. Raises PeerError, UsageError."""
        try:
            session = await self._session(within_s)
            profile = self._profile(session)
            said = {"station": self._place[0], "evse": self._place[1], "by": "SCSP", "action": "limit", "profile_id": None}
            self._journal.write(Kind.INTENT, {**said, "purpose": "TxProfile", "profile": profile, "session": session["id"]})
            return await self._result(await self._scsp.send_plan(session["id"], profile), within_s)
        finally:
            self.tell_findings()

    async def clear_plan(self, within_s: float) -> str:
        """Take the plan back by OCPI, return the result's word. Raises PeerError."""
        try:
            session = await self._session(within_s)
            said = {"station": self._place[0], "evse": self._place[1], "by": "SCSP", "action": "release", "request": {}}
            self._journal.write(Kind.INTENT, {**said, "session": session["id"]})
            return await self._result(await self._scsp.delete(session["id"]), within_s)
        finally:
            self.tell_findings()

    async def ask_active(self, duration_s: int, within_s: float) -> str:
        """Ask for the ActiveChargingProfile, return the result's word. Raises PeerError."""
        try:
            session = await self._session(within_s)
            return await self._result(await self._scsp.get_active(session["id"], duration_s), within_s)
        finally:
            self.tell_findings()

    async def local_limit(self, evse_id: int, by: str, profile: Mapping[str, Any] | None, emergency: bool) -> str:
        """Let a BEMS, a DSO or an operator limit, or release where there is no profile; return the outcome's word."""
        if profile is None:
            return (await self._limits.release(self._place[0], evse_id, by)).word
        return (await self._limits.set(self._place[0], evse_id, by, profile, emergency=emergency)).word

    async def _session(self, within_s: float) -> dict[str, Any]:
        return await self._scsp.wait_session(lambda one: one.get("evse_uid") == self._evse, within_s)

    async def _result(self, order: SentOrder, within_s: float) -> str:
        word = str(order.answer.get("result", "no answer"))
        return word if word != ACCEPTED else str((await self._scsp.wait_result(order.response_id, within_s)).get("result"))

    def tell_findings(self) -> None:
        """Write what the peers found wrong since the last time."""
        for name, peer in (("SCSP", self._scsp), ("MSP", self._msp)):
            findings = [] if peer is None else peer.findings
            for finding in findings[self._told.get(name, 0) :]:
                self._journal.write(Kind.FINDING, {"source": name, "code": finding.code, "text": finding.text, "refs": []})
            self._told[name] = len(findings)

    def _profile(self, session: dict[str, Any]) -> dict[str, Any]:
        if self._curve is None:
            start = self._clock.now().replace(microsecond=0)
            periods = [{"start_period": begin, "limit": limit} for begin, limit in self._plan.periods]
            text = f"{start:%Y-%m-%dT%H:%M:%SZ}"
            return {"start_date_time": text, "charging_rate_unit": self._plan.unit, "charging_profile_period": periods}
        return plan_day_ahead(
            self._curve.prices,
            self._curve.start,
            start=datetime.fromisoformat(session["start_date_time"]),
            departure=self._began + timedelta(seconds=self._plan.departure_s),
            levels_w=self._plan.levels_w,
            energy_wh=self._plan.energy_wh,
            interval_s=self._curve.interval_s,
        )


@asynccontextmanager
async def open_ocpi(
    order: Order, clock: Clock, journal: Journal, ids: IdSource, csms: Csms, host: dict[str, Any]
) -> AsyncIterator[DayAheadScsp]:
    """Open the CSO's platform and the SCSP of a scenario, registered with one another or at an MSP. Raises: PeerError."""
    scenario = order.scenario
    assert scenario.scsp is not None
    prices = scenario.scsp.prices
    curve = None if prices is None else load(PriceCurve, order.scenario_path.parent / prices)
    began = clock.now() + order.lead
    if curve is not None and scenario.start is not None:
        curve = curve.model_copy(update={"start": curve.start + (began - scenario.start)})
    addresses = AddressBook()
    plain = _placed(order.rig.ocpi, order.rig_path.parent).model_copy(update={"certificate": None, "private_key": None})
    rig = order.rig.model_copy(update={"ocpi": plain})
    station = scenario.station or order.rig.station[0].id
    async with AsyncExitStack() as stack:
        opened = open_cpo(rig, clock, journal, ids, csms, addresses, faults=csms.faults, policy=scenario.scsp.policy)
        cpo = await stack.enter_async_context(opened)
        msp = await stack.enter_async_context(open_msp(clock, ids, addresses)) if scenario.scsp.behind_msp else None
        scsp = await stack.enter_async_context(open_scsp(clock, ids, addresses))
        host["ocpi_port"] = cpo.port
        if msp is None:
            await scsp.register(cpo.versions_url, cpo.token_a)
        else:
            await msp.register(cpo.versions_url, cpo.token_a)
            await scsp.register(msp.proxy.versions_url, msp.proxy.open_door())
        await scsp.catch_up()
        sender = DayAheadScsp(
            scsp, scenario.scsp, curve, journal, clock,
            evse=evse_uid(station, scenario.evse), place=(station, scenario.evse), began=began,
            limits=cpo.limits, msp=msp,
        )  # fmt: skip
        try:
            yield sender
        finally:
            sender.tell_findings()


@asynccontextmanager
async def open_served_ocpi(
    order: ServeOrder, clock: Clock, journal: Journal, ids: IdSource, csms: Csms
) -> AsyncIterator[ServedOcpi]:
    """Open the CSO's platform for `bench serve`; its lines say how a peer registers."""
    settings = _placed(order.rig.ocpi, order.rig_path.parent)
    if not settings.port:
        settings = settings.model_copy(update={"port": _free_port(settings.host)})
    rig = order.rig.model_copy(update={"ocpi": settings})
    address = reachable_addresses(settings.host)[0]
    scheme = "http" if settings.certificate is None else "https"
    base_url = settings.public_url or f"{scheme}://{f'[{address}]' if ':' in address else address}:{settings.port}"
    store = None if settings.store is None else JsonStore(settings.store)
    async with open_cpo(rig, clock, journal, ids, csms, AddressBook(), base_url=base_url, store=store) as cpo:
        for one in cpo.platform.sessions.running():
            csms.recall(one.target.station, _transaction(one))
        known = settings.token_a is not None and settings.token_a.get_secret_value() == cpo.token_a
        token = "as the rig file has it" if known else cpo.token_a
        lines = [f"OCPI versions: {cpo.versions_url}", f"OCPI registration token (TOKEN_A): {token}"]
        if settings.token_a is not None and not known:
            lines.append("note: token_a of the rig file is spent, a peer has registered with it; the token above is another one")

        def session_of(station: str, transaction_id: str) -> str:
            record = cpo.platform.sessions.of(station, transaction_id)
            return record.session_id if record is not None else ""

        yield ServedOcpi(tuple(lines), commands_of(cpo), session_of)


def commands_of(cpo: Cpo) -> Mapping[str, Answerer]:
    """Return what a served platform does for other commands; their errors are UsageErrors."""

    def kept(outcome: Outcome) -> dict[str, Any]:
        """Return what to answer; a limit counts also where it cannot be kept, and who set it is told."""
        reason = outcome.reason
        if outcome.word == "ACCEPTED":
            try:
                cpo.platform.keep()
            except RigError as error:
                reason = f"it counts, but a restart forgets it: {error}"
        return {"result": {"word": outcome.word, "reason": reason}}

    async def limit(request: dict[str, Any]) -> dict[str, Any]:
        place, profile = _place_of(request), request.get("profile")
        if profile is None:
            return kept(await cpo.limits.release(*place))
        if not isinstance(profile, dict):
            raise UsageError("the profile must be a JSON object")
        return kept(await cpo.limits.set(*place, profile, emergency=bool(request.get("emergency"))))

    async def limits(_: dict[str, Any]) -> dict[str, Any]:
        return {"result": cpo.limits.shown()}

    async def invite(_: dict[str, Any]) -> dict[str, Any]:
        return {"result": cpo.platform.invite()}

    async def forget(request: dict[str, Any]) -> dict[str, Any]:
        registry, named = cpo.platform.registry, str(request.get("party")).upper()
        platform = next((one for one in registry.platforms if named in {str(party.id) for party in one.parties}), None)
        if platform is None:
            there = dict.fromkeys(str(party.id) for one in registry.platforms for party in one.parties)
            raise UsageError(f"no party {named} is registered; there: {', '.join(there) or 'none'}")
        registry.remove(platform)
        return {"result": [f"{party.id} ({party.role})" for party in platform.parties]}

    return {"limit": limit, "limits": limits, "invite": invite, "forget": forget}


def _transaction(record: SessionRecord) -> Transaction:
    """Return what is known of a session's transaction after a restart: a token that the session has was accepted."""
    target, token = record.target, record.id_token or None
    return Transaction(target.evse_id, target.transaction_id, token, "Accepted" if token else None, started=record.began)


def _place_of(request: Mapping[str, Any]) -> tuple[str, int, str]:
    station, evse_id, role = request.get("station"), request.get("evse"), request.get("by")
    if not isinstance(station, str) or not isinstance(evse_id, int) or not isinstance(role, str):
        raise UsageError("station and by must be texts, and evse a number")
    return station, evse_id, role


def _placed(settings: OcpiSettings, folder: Path) -> OcpiSettings:
    """Return the settings with their files where they are: beside the rig file."""
    files = ("store", "certificate", "private_key", "ca_file")
    return settings.model_copy(update={name: folder / one for name in files if (one := getattr(settings, name)) is not None})


def _free_port(host: str) -> int:
    """Return a port that is free now: peers are told the whole URL before the server listens."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(f"ocpi.host = {host!r}: cannot listen there: {error.strerror or error}") from None
