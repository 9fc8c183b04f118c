"""The pytest plugin: procedures that run unchanged on the emulated rig and on hardware.

`--rig NAME_OR_FILE` chooses the rig (default: the emulated one). `rig` gives its settings, `run` opens a run:

    @pytest.mark.octt("TC_K_11_CS")
    @pytest.mark.requirement("K01.FR.16")
    async def test_a_tx_profile_on_evse_0_is_refused(run: Run) -> None:
        async with run(title="A TxProfile on EVSE 0 is refused") as procedure:
            ...

The requirements of the test's marks have to be put to the test, or the run is INCONCLUSIVE.

At the end of the block the run is judged. FAIL, CONDITIONAL_FAIL and INCONCLUSIVE fail the test, ERROR and ABORTED are pytest
errors, NOT_APPLICABLE skips with its reason. The verdict goes into JUnit's properties.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.rig.session import Outcome
    from bench.runs.procedure import Procedure
    from bench.settings.rig import RigSettings

    Run = Callable[..., AbstractAsyncContextManager[Procedure]]
    """`run(scenario, **changes)`: a scenario by name or path, with fields changed, for example `evse=2`.

    Without a name it is the base of all procedures, config/scenarios/procedure.toml.
    """

PROCEDURE: Final = "procedure"
"""The property that marks a test as a procedure, whatever became of it."""
VERDICT: Final = "verdict"
HEADLINE: Final = "headline"


class BenchFailedError(Exception):
    """The bench could not judge: pytest reports an error, not a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("bench", "charge point bench")
    group.addoption("--rig", default="emulated", help="rig to run the procedures on: a name in config/rigs, or a file")
    group.addoption("--bench-seed", type=int, default=1, help="seed of the emulated rig")
    group.addoption("--station-clock", metavar="TIME", default=None, help="what the station's clock shows when a run starts")
    group.addoption("--bench-out", type=Path, default=None, help="folder for the runs (default: pytest's temporary folder)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "requirement(id, …): requirements of the specification that a procedure puts to the test")
    config.addinivalue_line("markers", "octt(id, …): published test cases that a procedure covers")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    """Give a procedure virtual time where all of its rig is emulated inside the bench."""
    if "run" not in getattr(item, "fixturenames", ()):
        return None
    from bench.adapters.clock import VirtualLoop

    return {"virtual": VirtualLoop} if _is_virtual(config.getoption("rig")) else {"real": asyncio.SelectorEventLoop}


@cache
def _is_virtual(rig: str) -> bool:
    """Read the rig file once for all procedures."""
    from bench.rig.files import find_rig

    emulator = find_rig(rig)[1].emulator
    return emulator is not None and emulator.time == "virtual"


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> RigSettings:
    """The rig that the procedures run on."""
    from bench.rig.files import find_rig

    return find_rig(request.config.getoption("rig"))[1]


@pytest.fixture(scope="session")
def rig_lease(rig: RigSettings) -> Generator[None]:
    """Keep the rig for this session from its first procedure on; an emulated one needs no lease."""
    from bench.rig.lease import leased

    with leased(rig, "pytest"):
        yield


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, rig_lease: None) -> Run:
    """Open runs that are judged at the end of their block."""
    from bench.rig.files import find_rig, find_scenario, run_folder
    from bench.rig.session import NotBegunError, Order, open_run
    from bench.settings.base import check
    from bench.settings.moments import parse_moment

    config = request.config
    rig_path, rig_settings = find_rig(config.getoption("rig"))
    emulated = rig_settings.emulator is not None
    base = config.getoption("bench_out") or (tmp_path if emulated else None)
    station_clock = parse_moment(config.getoption("station_clock"), "--station-clock")
    required = _marked(request.node, "requirement")
    request.node.user_properties.append((PROCEDURE, ", ".join(_marked(request.node, "octt")) or request.node.name))
    count = 0

    @asynccontextmanager
    async def open_judged(scenario: str = "procedure", **changes: Any) -> AsyncIterator[Procedure]:
        nonlocal count
        count += 1
        path, settings = find_scenario(scenario)
        values = settings.model_dump(by_alias=True) | changes
        if required and "must_show" not in changes:
            values["must_show"] = list(dict.fromkeys([*values["must_show"], *required]))
            values["checks"] = list(dict.fromkeys([*values["checks"], "conduct"]))
        changed = check(type(settings), values, path)
        name = f"{_plain_name(request.node.name)}-{count}"
        folder = run_folder(name) if base is None else base / name  # where `bench restore` looks for the runs of a real station
        order = Order(
            changed, path, rig_settings, rig_path, folder, seed=config.getoption("bench_seed"), station_clock=station_clock,
        )  # fmt: skip
        failed: AssertionError | None = None
        try:
            async with open_run(order) as opened:
                yield opened.procedure
        except NotBegunError as error:
            outcome: Outcome | None = error.outcome
        except AssertionError as error:
            outcome, failed = opened.outcome, error
        else:
            outcome = opened.outcome
        assert outcome is not None
        _record(outcome, required, request.node.user_properties)
        _conclude(outcome, failed)

    return open_judged


def _marked(item: pytest.Item, name: str) -> list[str]:
    """Return the ids in all marks of that name, each once, in the order of reading."""
    marks = reversed(list(item.iter_markers(name)))
    return list(dict.fromkeys(str(one) for mark in marks for one in mark.args))


def _plain_name(name: str) -> str:
    return "".join(one if one.isalnum() or one in "-_." else "-" for one in name)


def _record(outcome: Outcome, required: Sequence[str], properties: list[tuple[str, object]]) -> None:
    from bench.domain.verdicts import worst

    verdict = outcome.judgement.verdict
    properties += [
        (VERDICT, str(verdict.verdict)),
        (HEADLINE, verdict.headline),
        ("run", str(outcome.folder)),
        ("journal_head", outcome.head),
    ]
    for check in verdict.checks:
        properties.append((f"check.{check.check}", str(check.verdict)))
        if check.blamed:
            properties.append((f"blamed.{check.check}", ", ".join(check.blamed)))
    results = [one for check in verdict.checks for one in check.requirements]
    for name in dict.fromkeys([*required, *(one.requirement for one in results)]):
        said = [one.verdict for one in results if one.requirement == name]
        properties.append((f"requirement.{name}", str(worst(said)) if said else "not shown"))


def _conclude(outcome: Outcome, failed: AssertionError | None) -> None:
    """Turn a verdict into pytest's; what the procedure itself found amiss is raised where the judge convicts nobody of it."""
    from bench.domain.verdicts import Verdict

    verdict = outcome.judgement.verdict
    lines = [f"{verdict.verdict}: {verdict.headline}"]
    lines += [f"  {check.check}: {check.verdict}: {reason}" for check in verdict.checks for reason in check.reasons]
    lines.append(f"  report: {outcome.folder / 'report.html'}")
    text = "\n".join(lines)
    if verdict.verdict is Verdict.NOT_APPLICABLE or (
        verdict.checks and all(check.verdict is Verdict.NOT_APPLICABLE for check in verdict.checks)
    ):
        pytest.skip(verdict.headline)
    if verdict.verdict in (Verdict.ERROR, Verdict.ABORTED):
        raise BenchFailedError(text)
    if failed is not None and verdict.verdict not in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL):
        raise failed
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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many procedures passed of those that apply to the target, and which do not apply, and why."""
    reports: dict[str, list[pytest.TestReport]] = {}
    for group in terminalreporter.stats.values():
        for report in group:
            if isinstance(report, pytest.TestReport) and any(name == PROCEDURE for name, _ in report.user_properties):
                reports.setdefault(report.nodeid, []).append(report)
    if not reports:
        return
    excluded = {node: why for node, parts in reports.items() if (why := _not_applicable(parts)) is not None}
    passed = [node for node, parts in reports.items() if node not in excluded and all(one.passed for one in parts)]
    terminalreporter.section("charge point bench")
    for node, why in excluded.items():
        terminalreporter.write_line(f"not applicable: {node}: {why}")
    total = len(reports)
    terminalreporter.write_line(f"procedures: {len(passed)} passed of {total - len(excluded)} applicable of {total}")


def _not_applicable(parts: Sequence[pytest.TestReport]) -> str | None:
    """Return why a procedure does not apply to the target; None where it does."""
    if not any(one.skipped for one in parts):
        return None
    told = dict(parts[-1].user_properties)
    return str(told.get(HEADLINE, "skipped")) if told.get(VERDICT) == "NOT_APPLICABLE" else None
