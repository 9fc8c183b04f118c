"""A dead run's transaction is stopped by its id before anything closes, also where the station does not tell it when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bench.adapters.guard import LocalGuard
from bench.adapters.ids import SeededIds
from bench.adapters.journal import JournalFile, open_journal
from bench.adapters.journal_reader import JournalReading, read_journal
from bench.domain.documents import Kind
from bench.errors import RigError
from bench.rig.earlier import left_running
from bench.rig.files import find_scenario
from bench.rig.restore import Debt, RestoreOrder, _restore_one
from bench.rig.session import NotBegunError, Order, open_run
from bench.runs.bench import Bench
from bench.runs.safe_state import SafeState
from bench.runs.snapshot import Snapshot
from bench.settings.rig import RigSettings
from tests.loopback.test_csms_stock_client import Plain
from tests.procedures.test_restore import free_port
from tests.stations import attached, new_csms, rig_settings
from tests.support import FakeClock, MemoryJournal

TX, CS = "T-1", "CS-1"
RIG = rig_settings()
Answers = dict[str, str]
"""Status by action; CALLERROR and silence in place of one; Ended: Accepted, and the transaction's end follows."""


def event(phase: str, identity: Any = TX) -> dict[str, Any]:
    """Return a TransactionEvent."""
    return {"eventType": phase, "timestamp": "2026-01-15T00:00:00Z", "triggerReason": "Trigger", "seqNo": 1,
            "transactionInfo": {"transactionId": identity}, "evse": {"id": 1}}  # fmt: skip


def changed(**more: Any) -> RigSettings:
    """Return the rig with something else in its file."""
    return RigSettings.model_validate(RIG.model_dump(by_alias=True) | more)


class Charging:
    """A contactor and a station in memory that go by what a test says, and keep the order of what they are told."""

    def __init__(self, clock: FakeClock, journal: MemoryJournal, **answers: str) -> None:
        self.told: list[str] = []
        self.clock, self.switched_s = clock, 0.0
        self.answers: Answers = {"TriggerMessage": "CALLERROR", "ClearChargingProfile": "Unknown"} | answers
        self.csms = new_csms(clock, journal)
        guard = LocalGuard({CS: self}, {})
        settings = changed(safety={"floor": False}, operator={})
        left = {TX: Path("runs/dead")}
        bench = Bench(settings, clock, journal, SeededIds(1, "b"), self.csms, {}, {}, {}, guard, left_running=left)
        self.safe = SafeState(bench, CS)

    async def switch(self, closed: bool) -> None:
        """Be the contactor."""
        self.told.append("close" if closed else "open")
        self.switched_s = self.clock.monotonic()

    async def is_closed(self) -> bool | None:
        """Read back."""
        return self.told[-1] == "close"

    @asynccontextmanager
    async def connected(self, *said: dict[str, Any]) -> AsyncIterator[None]:
        """Be the station, which says something of itself first."""
        async with attached(self.csms, CS) as link:

            async def answer() -> None:
                while True:
                    kind, number, *rest = await link.hear()
                    if kind != 2:
                        continue
                    self.told.append(rest[0])
                    status = self.answers.get(rest[0], "CALLERROR")
                    if status == "CALLERROR":
                        link.say(4, number, "InternalError", "", {})
                    elif status != "silence":
                        link.say(3, number, {"status": "Accepted" if status == "Ended" else status})
                    if status == "Ended":
                        link.say(2, "end", "TransactionEvent", event("Ended"))

            answering = asyncio.create_task(answer())
            for number, one in enumerate(said):
                link.say(2, f"s{number}", "TransactionEvent", one)
            await asyncio.sleep(0)
            try:
                yield
            finally:
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering
                await self.csms.close()


@pytest.mark.virtual
@pytest.mark.parametrize("trigger", ["CALLERROR", "Rejected", "Accepted"])
@pytest.mark.parametrize("stop", ["Ended", "Rejected"])
async def test_it_is_stopped_before_the_contactor_closes(
    clock: FakeClock, journal: MemoryJournal, trigger: str, stop: str
) -> None:
    """However a station declines to tell it, and also where it is over: Rejected, as the station knows no such transaction."""
    station = Charging(clock, journal, TriggerMessage=trigger, RequestStopTransaction=stop)
    async with station.connected():
        await station.safe.arm()
    assert station.told.index("RequestStopTransaction") < station.told.index("close")
    found = next(one["read_back"] for one in journal.of(Kind.SAFE_STATE) if one["action"] == "stop what runs")
    assert found["stopped"] == {TX: "Accepted" if stop == "Ended" else stop}
    assert station.switched_s == (5 if stop == "Ended" else 0)  # the EV still takes what it was offered for a while


@pytest.mark.virtual
@pytest.mark.parametrize("stop", ["CALLERROR", "Accepted", "silence"])
async def test_where_it_may_go_on_nothing_is_switched_on(clock: FakeClock, journal: MemoryJournal, stop: str) -> None:
    """A station that refuses the stop, that accepts it and tells no end, or that does not answer: the error names what to do."""
    station = Charging(clock, journal, RequestStopTransaction=stop)
    async with station.connected():
        with pytest.raises(RigError, match=r"transaction T-1 .*runs/dead.*stop it at the station, then `bench restore test`"):
            await station.safe.arm()
    assert ("close" in station.told, station.safe.armed) == (False, False)


@pytest.mark.virtual
async def test_a_station_that_tells_it_cannot_say_that_there_is_none(clock: FakeClock, journal: MemoryJournal) -> None:
    """Rejected means an unknown transaction only of one that the station itself does not tell."""
    station = Charging(clock, journal, RequestStopTransaction="Rejected")
    async with station.connected(event("Updated")):
        with pytest.raises(RigError, match="T-1"):
            await station.safe.arm()
    assert "close" not in station.told


@contextmanager
def run_of(folder: Path, *, rig: RigSettings = RIG, mode: str = "real", day: int = 0) -> Iterator[JournalFile]:
    """Write the journal of an earlier run, which ends as it is left: as if it was killed."""
    folder.mkdir(parents=True)
    clock = FakeClock()
    clock.advance(86_400 * day)
    start = {"scenario": {"station": CS}, "rig": rig.model_dump(mode="json", by_alias=True), "mode": mode, "judged": True}
    with open_journal(folder / "journal.jsonl", clock, b"key") as journal:
        journal.write(Kind.RUN_START, start)
        yield journal


def frames(journal: JournalFile, *messages: Any, station: str = CS, inwards: bool = True) -> None:
    """Write frames."""
    for one in messages:
        raw = orjson.dumps(one).decode()
        journal.write(Kind.OCPP_FRAME, {"station": station, "dir": "in" if inwards == (one[0] == 2) else "out", "raw": raw})


def begun(folder: Path, *identities: Any, **more: Any) -> None:
    """Write a run that was killed while transactions ran."""
    with run_of(folder, **more) as journal:
        frames(journal, *([2, f"b{number}", "TransactionEvent", event("Started", one)] for number, one in enumerate(identities)))


def looked(folder: Path, day: int, station: str = CS) -> None:
    """Write a run that has seen to what was left, and armed."""
    with run_of(folder, day=day) as journal:
        data = {"station": station, "action": "arm", "ok": True, "read_back": {"earlier_transactions": {}}, "stop": False}
        journal.write(Kind.SAFE_STATE, data)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the bench is started in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(journal: MemoryJournal, out: str = "runs/new", rig: RigSettings = RIG) -> dict[str, str]:
    """Return what a new run finds."""
    return {one: str(folder) for one, folder in left_running(rig, CS, Path(out), journal).items()}


def test_journals_name_what_was_left_running(here: Path, journal: MemoryJournal) -> None:
    """In runs/ and beside the new run: begun and not ended, whichever run saw the end; not its own, another rig's or virtual."""
    begun(Path("runs/a"), "T-1", "T-2")
    with run_of(Path("runs/b"), day=1) as later:
        frames(later, [2, "x", "TransactionEvent", event("Ended", "T-1")])
    begun(Path("elsewhere/c"), "T-3", day=2)
    begun(Path("runs/other"), "T-4", rig=RIG.model_copy(update={"name": "other"}))
    begun(Path("runs/virtual"), "T-5", mode="virtual")
    begun(Path("elsewhere/new"), "T-6", day=3)
    with run_of(Path("runs/z"), day=4) as later:
        frames(later, [2, "x", "TransactionEvent", event("Started", "T-7")], station="CS-2")
    assert found(journal, "elsewhere/new") == {"T-2": "runs/a", "T-3": "elsewhere/c"}
    assert journal.documents == []


@pytest.mark.parametrize(("told", "left"), [(False, {}), (True, {"T-1": "runs/a"})])
def test_a_stop_that_a_restoration_made_counts(here: Path, journal: MemoryJournal, told: bool, left: dict[str, str]) -> None:
    """Rejected: the station knows no such transaction; but not where it told of that one itself."""
    begun(Path("runs/a"), "T-1")
    with run_of(Path("runs/b"), day=1) as restoring:
        if told:
            frames(restoring, [2, "x", "TransactionEvent", event("Updated")])
        asked, answered = [2, "y", "RequestStopTransaction", {"transactionId": TX}], [3, "y", {"status": "Rejected"}]
        frames(restoring, asked, answered, inwards=False)
    assert found(journal) == left


def test_a_run_that_has_looked_ends_the_search(here: Path, journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of runs the first lines are read, and one journal; a run on another station of the rig has not looked."""
    begun(Path("runs/dead"), "T-1")
    looked(Path("runs/looked"), 1)
    line = (Path("runs/dead/journal.jsonl").read_bytes()).splitlines(keepends=True)[0]
    for number in range(300):
        Path(f"runs/{number}").mkdir()
        Path(f"runs/{number}/journal.jsonl").write_bytes(line)
    looked(Path("runs/neighbour"), 2, station="CS-2")
    read: list[str] = []

    def reading(path: Path) -> JournalReading:
        read.append(path.parent.name)
        return read_journal(path)

    monkeypatch.setattr("bench.rig.earlier.read_journal", reading)
    assert (found(journal), read) == ({}, ["neighbour", "looked"])


def broken_first_line(path: Path) -> None:
    """Damage what tells the rig."""
    path.write_bytes(b"[1]\n" + path.read_bytes())


def broken_chain(path: Path) -> None:
    """Damage a document."""
    path.write_bytes(path.read_bytes().replace(b"Started", b"Stopped", 1))


def no_file(path: Path) -> None:
    """Leave a folder in its place, which cannot be read."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [broken_first_line, broken_chain, no_file])
def test_a_journal_that_cannot_be_read_is_told(here: Path, journal: MemoryJournal, damage: Callable[[Path], None]) -> None:
    """By a finding that names it; what the others say still counts."""
    begun(Path("runs/a"), "T-1")
    begun(Path("runs/b"), "T-2", day=1)
    damage(Path("runs/b/journal.jsonl"))
    assert found(journal) == {"T-1": "runs/a"}
    told = [(one["code"], "runs/b/journal.jsonl" in one["text"]) for one in journal.of(Kind.FINDING)]
    assert told == [("earlier_run_unread", True)]


def test_what_a_hostile_station_said_does_not_stop_a_run(here: Path, journal: MemoryJournal) -> None:
    """Ids that no request could name are left out, and so is what the bench refused."""
    begun(Path("runs/a"), "T" * 37, 5, ["T"], None, "T-1")
    with run_of(Path("runs/b"), day=1) as later:
        odd = event("Started") | {"transactionInfo": [TX]}
        frames(later, [2, "x", "TransactionEvent", odd], [2, "y", "TransactionEvent", {}])
        frames(later, [2, "z", "TransactionEvent", event("Started", "T-2")], [4, "z", "FormationViolation", "", {}])
    Path("runs/empty").mkdir()
    Path("runs/empty/journal.jsonl").touch()
    assert (found(journal), journal.documents) == ({"T-1": "runs/a"}, [])


def test_a_rig_that_is_emulated_looks_at_nothing(here: Path, journal: MemoryJournal) -> None:
    """Its stations live within a run only, in real time too."""
    begun(Path("runs/a"), "T-1")
    assert found(journal, rig=changed(emulator={"time": "real"})) == {}


async def test_a_run_after_a_dead_one_is_refused_before_anything_is_energised(here: Path) -> None:
    """From the folder to the verdict: the station knows neither TriggerMessage nor RequestStopTransaction."""
    port = free_port()
    rig = changed(csms={"port": port})
    begun(here / "runs/dead", TX)
    path, scenario = find_scenario("procedure")
    order = Order(scenario, path, rig, here / "rig.toml", here / "runs/new")

    async def station() -> None:
        async for socket in connect(f"ws://127.0.0.1:{port}/ocpp/{CS}", subprotocols=[Subprotocol("ocpp2.0.1")]):
            client = Plain(CS, socket)
            await asyncio.gather(client.start(), client.boot())

    being = asyncio.create_task(station())
    with pytest.raises(NotBegunError, match=f"transaction {TX} .*CALLERROR") as refused:
        async with open_run(order):
            raise AssertionError("energised")
    being.cancel()
    await asyncio.wait([being])
    assert refused.value.outcome.exit_code == 4
    assert b"SetChargingProfile" not in (here / "runs/new/journal.jsonl").read_bytes()


@pytest.mark.virtual
async def test_a_restoration_that_cannot_stop_it_is_not_clean(
    clock: FakeClock, journal: MemoryJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the contactor open the rest is given back all the same."""

    async def opened(*_: object) -> bool:
        return True

    monkeypatch.setattr("bench.rig.restore._open_contactor", opened)
    station = Charging(clock, journal, RequestStopTransaction="Accepted")
    debt = Debt(Snapshot(CS, taken=True), folders=[tmp_path], transactions=[TX])
    order: Any = RestoreOrder(RIG, tmp_path, tmp_path)
    async with station.connected():
        restored = await _restore_one(order, debt, station.csms, clock, journal, lambda _: None)  # type: ignore[arg-type]
    assert restored.differences == [f"transaction {TX} may still run"]
    assert station.told[-1] == "ClearChargingProfile"
