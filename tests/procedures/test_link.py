"""Procedures on the emulated rig whose stations connect through the relay: in virtual time, each way to disturb it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from bench.adapters.clock import VirtualLoop
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.errors import CallTimeoutError, EvidenceError, StationError
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.procedure import Procedure
from bench.settings.rig import RigSettings
from tests.support import DEEP

Body = Callable[[Procedure], Awaitable[None]]


def linked(**csms: Any) -> RigSettings:
    """Return the emulated rig with a relay before its CSMS."""
    content = find_rig("emulated")[1].model_dump(by_alias=True)
    content["csms"] |= csms
    if csms.get("security_profile"):
        content["station"] = [{**one, "password": "sesame-1234"} for one in content["station"]]
    return RigSettings.model_validate({**content, "link": {}})


def drive(out: Path, body: Body, rig: RigSettings | None = None) -> Outcome:
    """Run a procedure to its end in virtual time."""
    scenario_path, scenario = find_scenario("procedure")

    async def run() -> Outcome | None:
        order = Order(scenario, scenario_path, rig or linked(), find_rig("emulated")[0], out, pages=DEEP)
        async with open_run(order) as opened:
            await body(opened.procedure)
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run())
    assert outcome is not None
    assert outcome.judgement.facts.end_reason == ""
    return outcome


def documents(outcome: Outcome, kind: Kind) -> list[dict[str, Any]]:
    """Return the data of a run's documents of one kind."""
    return [one.data for one in read_journal(outcome.folder / "journal.jsonl").documents if one.kind == kind]


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_a_station_whose_connection_ends_comes_back(tmp_path: Path, mode: str) -> None:
    """It is away for as long as the disturbance lasts; both ends of it are written down."""

    async def body(procedure: Procedure) -> None:
        state = procedure.bench.csms.stations[procedure.station.id]
        await procedure.disturb_link(mode, 30)  # type: ignore[arg-type]
        await procedure.wait(5)
        assert not state.online
        await procedure.wait_online()

    outcome = drive(tmp_path / "run", body)
    assert [one["mode"] for one in documents(outcome, Kind.LINK_FAULT)] == [mode, "none"]


def test_cut_network_falls_to_the_link_and_the_wait_to_the_station(tmp_path: Path) -> None:
    """The station tells 1 s, doubled 3 times: after 60 s without network it may take 8 s more, and the handshake."""

    async def body(procedure: Procedure) -> None:
        await procedure.cut_network(60)
        assert procedure.reconnect_patience_s() == pytest.approx(60 + 8 + 30)
        await procedure.wait_online()

    outcome = drive(tmp_path / "run", body)
    assert documents(outcome, Kind.LINK_FAULT)[0]["mode"] == "reset"
    (told,) = [one["value"] for one in documents(outcome, Kind.SETTING) if one["what"] == "retry_back_off"]
    assert told == {"wait_minimum_s": 1, "random_range_s": 0, "repeat_times": 3}


def test_refused_is_only_who_comes_anew(tmp_path: Path) -> None:
    """The open connection goes on."""

    async def body(procedure: Procedure) -> None:
        await procedure.disturb_link("refuse", 30)
        await procedure.get_variables("OCPPCommCtrlr.HeartbeatInterval")

    assert documents(drive(tmp_path / "run", body), Kind.LINK_FAULT)[0]["mode"] == "refuse"


@pytest.mark.parametrize("direction", ["to_station", "to_csms", "both"])
def test_a_call_into_a_link_that_swallows_times_out(tmp_path: Path, direction: str) -> None:
    """The outcome is unknown while the connection stays open; afterwards it carries again."""

    async def body(procedure: Procedure) -> None:
        connections = procedure.bench.csms.stations[procedure.station.id].connections
        await procedure.disturb_link("swallow", 40, direction=direction)  # type: ignore[arg-type]
        with pytest.raises(CallTimeoutError):
            await procedure.get_variables("OCPPCommCtrlr.HeartbeatInterval")
        await procedure.wait(15)
        await procedure.get_variables("OCPPCommCtrlr.HeartbeatInterval")
        assert procedure.bench.csms.stations[procedure.station.id].connections == connections

    drive(tmp_path / "run", body)


@pytest.mark.parametrize(("fault", "least_s"), [({"delay_s": 2.0}, 4), ({"bytes_per_s": 100.0}, 1)])
def test_a_slow_link_makes_calls_slow(tmp_path: Path, fault: dict[str, float], least_s: float) -> None:
    """2 s in each direction make 4 s for a call."""

    async def body(procedure: Procedure) -> None:
        await procedure.disturb_link("delay" if "delay_s" in fault else "throttle", 60, **fault)  # type: ignore[arg-type]
        began = procedure.elapsed_s
        await procedure.get_variables("OCPPCommCtrlr.HeartbeatInterval")
        assert least_s <= procedure.elapsed_s - began < least_s + 10

    drive(tmp_path / "run", body)


def test_under_tls_the_relay_relays_the_same(tmp_path: Path) -> None:
    """Security profile 2: the station comes in through the relay, is reset, and comes back."""
    issued = trustme.CA()
    certificate = issued.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.cert_pem.write_to_path(tmp_path / "cert.pem", append=True)
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")

    async def body(procedure: Procedure) -> None:
        before = procedure.bench.csms.stations[procedure.station.id].connections
        await procedure.disturb_link("reset")
        await procedure.wait(1)
        await procedure.wait_online()
        assert procedure.bench.csms.stations[procedure.station.id].connections == before + 1

    files = {"certificate": tmp_path / "cert.pem", "private_key": tmp_path / "key.pem"}
    drive(tmp_path / "run", body, linked(security_profile=2, **files))


def test_the_disturbance_ends_before_the_safe_state(tmp_path: Path) -> None:
    """A run that ends in the middle of it still reaches the station, and leaves it as found."""

    async def body(procedure: Procedure) -> None:
        await procedure.disturb_link("swallow", 100_000)
        with pytest.raises(StationError):
            await procedure.get_variables("OCPPCommCtrlr.HeartbeatInterval")

    outcome = drive(tmp_path / "run", body)
    (restored,) = documents(outcome, Kind.RESTORED)
    assert restored["clean"] is True
    assert all(one["ok"] for one in documents(outcome, Kind.SAFE_STATE))


def test_a_full_disk_at_the_end_of_a_disturbance_does_not_keep_the_safe_state_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the disturbance cannot be written down; the transaction is stopped and the contactor opened all the same."""
    opened: list[str] = []

    def full(*_: Any) -> int:
        raise EvidenceError("no space left")

    async def body(procedure: Procedure) -> None:
        await procedure.disturb_link("delay", 600, delay_s=0.1)
        switch, bench = procedure.bench.guard.switches[procedure.station.id], procedure.bench

        async def noted(closed: bool) -> None:
            opened.append("closed" if closed else "opened")

        monkeypatch.setattr(switch, "switch", noted)
        monkeypatch.setattr(bench.journal, "write", full)

    with pytest.raises(EvidenceError):
        drive(tmp_path, body)
    assert opened == ["opened"]
