"""The pytest plugin: procedures that run unchanged on the emulated rig and on hardware.

`--rig NAME_OR_FILE` chooses the rig (default: the emulated one). `rig` gives its settings, `run` opens a run:

    async def test_station_follows_a_lowered_limit(run: Run) -> None:
        async with run("lowered-limit") as procedure:
            ...

At the end of the block the run is judged. FAIL, CONDITIONAL_FAIL and INCONCLUSIVE fail the test, ERROR and ABORTED are pytest
errors, NOT_APPLICABLE skips with its reason. The verdict goes into JUnit's properties.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.rig.session import Outcome
    from bench.runs.procedure import Procedure
    from bench.settings.rig import RigSettings

    Run = Callable[..., AbstractAsyncContextManager[Procedure]]
    """`run(scenario, **changes)`: a scenario by name or path, with fields changed, for example `evse=2`."""


class BenchFailedError(Exception):
    """The bench could not judge: pytest reports an error, not a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("bench", "charge point bench")
    group.addoption("--rig", default="emulated", help="rig to run the procedures on: a name in config/rigs, or a file")
    group.addoption("--bench-seed", type=int, default=1, help="seed of the emulated rig")
    group.addoption("--station-clock", metavar="TIME", default=None, help="what the station's clock shows when a run starts")
    group.addoption("--bench-out", type=Path, default=None, help="folder for the runs (default: pytest's temporary folder)")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """Give a procedure virtual time where all of its rig is emulated inside the bench."""
    if "run" not in getattr(item, "fixturenames", ()):
        return None
    from bench.adapters.clock import VirtualLoop
    from bench.rig.files import find_rig

    emulator = find_rig(config.getoption("rig"))[1].emulator
    if emulator is not None and emulator.time == "virtual":
        return {"virtual": VirtualLoop}
    return {"real": asyncio.SelectorEventLoop}


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> RigSettings:
    """The rig that the procedures run on."""
    from bench.rig.files import find_rig

    return find_rig(request.config.getoption("rig"))[1]


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Open runs that are judged at the end of their block."""
    from bench.rig.files import find_rig, find_scenario
    from bench.rig.session import NotBegunError, Order, open_run
    from bench.settings.base import check
    from bench.settings.moments import parse_moment

    config = request.config
    rig_path, rig_settings = find_rig(config.getoption("rig"))
    base = config.getoption("bench_out") or tmp_path
    station_clock = parse_moment(config.getoption("station_clock"), "--station-clock")
    count = 0

    @asynccontextmanager
    async def open_judged(scenario: str, **changes: Any) -> AsyncIterator[Procedure]:
        nonlocal count
        count += 1
        path, settings = find_scenario(scenario)
        changed = check(type(settings), settings.model_dump(by_alias=True) | changes, path)
        folder = base / f"{request.node.name}-{count}"
        order = Order(
            changed, path, rig_settings, rig_path, folder, seed=config.getoption("bench_seed"), station_clock=station_clock,
        )  # fmt: skip
        try:
            async with open_run(order) as opened:
                yield opened.procedure
        except NotBegunError as error:
            outcome: Outcome | None = error.outcome
        else:
            outcome = opened.outcome
        assert outcome is not None
        _record(outcome, request.node.user_properties)
        _conclude(outcome)

    return open_judged


def _record(outcome: Outcome, properties: list[tuple[str, object]]) -> None:
    verdict = outcome.judgement.verdict
    properties += [
        ("verdict", str(verdict.verdict)),
        ("headline", verdict.headline),
        ("run", str(outcome.folder)),
        ("journal_head", outcome.head),
    ]
    for check in verdict.checks:
        properties.append((f"check.{check.check}", str(check.verdict)))
        if check.blamed:
            properties.append((f"blamed.{check.check}", ", ".join(check.blamed)))


def _conclude(outcome: Outcome) -> None:
    from bench.domain.verdicts import Verdict

    verdict = outcome.judgement.verdict
    lines = [f"{verdict.verdict}: {verdict.headline}"]
    lines += [f"  {check.check}: {check.verdict}: {reason}" for check in verdict.checks for reason in check.reasons]
    lines.append(f"  report: {outcome.folder / 'report.html'}")
    text = "\n".join(lines)
    if verdict.verdict is Verdict.NOT_APPLICABLE or (
        verdict.checks and all(check.verdict is Verdict.NOT_APPLICABLE for check in verdict.checks)
    ):
        pytest.skip(verdict.checks[0].headline if verdict.checks else verdict.headline)
    if verdict.verdict in (Verdict.ERROR, Verdict.ABORTED):
        raise BenchFailedError(text)
    if verdict.verdict not in (Verdict.PASS, Verdict.CONDITIONAL_PASS):
        pytest.fail(text, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a bench that could not judge as an error, as pytest does for a fixture that fails."""
    report = yield
    if call.when == "call" and call.excinfo is not None and call.excinfo.errisinstance((BenchFailedError, BenchError)):
        report.when = "setup"
        report.longrepr = str(call.excinfo.value)
    return report
