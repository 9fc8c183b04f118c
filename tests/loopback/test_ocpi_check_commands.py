"""`bench ocpi check --role EMSP` on commands: nothing real unless the user asks for it, and only what the text decides fails."""

from __future__ import annotations

import pytest

from bench.domain.verdicts import Verdict
from bench.peers.check.course import COMMANDED, COMMANDS, Start
from bench.wire.ocpi.transport import VERSIONS
from tests.loopback.test_ocpi_check_bugs import check, failures

pytestmark = pytest.mark.virtual
NAMES = tuple(one.name for one in (*COMMANDS, *COMMANDED))


@pytest.mark.parametrize(
    ("bug", "cases"),
    [
        ("any_location", {"command-location"}),
        ("location_422", {"command-location", "envelope"}),
        ("stop_rejected", {"command-session"}),
        ("cancels_all", {"command-reservation"}),
        ("no_command_timeout", {"command-answer"}),
        ("odd_word", {"command-result"}),
        ("command_silent", {"command-result"}),
        ("command_late", {"command-result"}),
        ("command_elsewhere", {"command-result"}),
    ],
)
async def test_a_bug_is_found_by_its_case(bug: str, cases: set[str]) -> None:
    """The named case fails, and no other accuses."""
    found, _ = await check(VERSIONS[0], bug, role="EMSP", only=(*NAMES, "envelope"))
    assert failures(found) == cases, {name: one.said for name, one in found.items()}


@pytest.mark.parametrize(
    ("habit", "verdicts"),
    [
        ("location_rejected", {"command-location": Verdict.INCONCLUSIVE}),
        ("cancel_rejected", {"command-result": Verdict.INCONCLUSIVE}),
        ("no_reservations", {"command-reservation": Verdict.NOT_APPLICABLE, "command-result": Verdict.INCONCLUSIVE}),
        ("commands_404", dict.fromkeys(NAMES[:3], Verdict.NOT_APPLICABLE)),
        ("no_commands", dict.fromkeys(NAMES, Verdict.NOT_APPLICABLE)),
        ("mute POST commands", dict.fromkeys(NAMES, Verdict.INCONCLUSIVE)),
    ],
)
async def test_what_the_text_leaves_open_is_no_fail(habit: str, verdicts: dict[str, Verdict]) -> None:
    """A refusal in other words, a command that is not served, no response."""
    found, _ = await check(VERSIONS[0], habit, role="EMSP", only=(*NAMES, "envelope"))
    assert failures(found) == set()
    assert {name: found[name].verdict for name in verdicts} == verdicts


async def test_a_second_result_is_found_in_the_whole_check() -> None:
    """It comes after the first, so that one case alone may be over by then."""
    found, _ = await check(VERSIONS[0], "command_twice", role="EMSP")
    assert failures(found) == {"command-result"}


async def test_an_scsp_commands_nothing() -> None:
    """The commands module is for eMSPs."""
    found, cso = await check(VERSIONS[0], only=NAMES)
    assert {one.verdict for one in found.values()} == {Verdict.NOT_APPLICABLE}
    assert cso.commands == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_that_is_started_and_stopped_shows_answers_and_results(version: str) -> None:
    """--start allows two real commands."""
    found, cso = await check(version, role="EMSP", only=("command-answer", "command-result"), start=Start("U", "L", "E-1"))
    assert {name: one.said for name, one in found.items()} == {
        "command-answer": ("4 answers",), "command-result": ("3 results",),
    }  # fmt: skip
    assert cso.commands == ["STOP_SESSION", "CANCEL_RESERVATION", "START_SESSION", "STOP_SESSION"]


@pytest.mark.parametrize("habit", ["mute PUT tokens", "mute POST commands", "no_commands"])
async def test_a_session_that_cannot_be_started_ends_no_check(habit: str) -> None:
    """What follows is INCONCLUSIVE where it needs a session, and the rest is judged."""
    found, _ = await check(VERSIONS[0], habit, role="EMSP", only=("set", "envelope"), start=Start("U", "L", "E-2"))
    assert (found["set"].verdict, found["envelope"].verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


async def test_the_session_that_was_started_is_steered_and_stopped() -> None:
    """Another one that runs already, at the same EVSE, is somebody's: it is left alone."""
    found, cso = await check(VERSIONS[0], role="EMSP", only=("session", "set"), start=Start("U", "L", "E-1"))
    assert found["session"].said == ("session S-Started at EVSE E-1: ACTIVE",)
    assert cso.stopped == ["S-Started"]


async def test_a_start_that_starts_nothing_steers_nobody() -> None:
    """ACCEPTED, and no session of that token: the one that runs already is neither steered nor stopped."""
    found, cso = await check(VERSIONS[0], "starts_nothing", role="EMSP", only=("session", "set"), start=Start("U", "L", ""))
    assert found["session"].verdict is Verdict.INCONCLUSIVE
    assert found["session"].said == ("the CSO told of no new ACTIVE session of the token U within 60 s",)
    assert (cso.limits, cso.stopped) == ([], [])


async def test_why_there_is_no_session_is_told_once() -> None:
    """By the case session, at which all others point."""
    found, _ = await check(VERSIONS[0], "no_commands", role="EMSP", start=Start("U", "L", "E-1"))
    assert found["session"].said == ("the CSO serves no commands: no session can be started",)
    assert found["set"].said == found["push"].said == ("there is no session to steer, see session",)


async def test_a_start_without_a_response_may_have_started_all_the_same() -> None:
    """The session that is told then is steered, and stopped at the end."""
    lines, start = list[str](), Start("U", "L", "E-1")
    found, _ = await check(VERSIONS[0], "mute POST commands", role="EMSP", only=("set",), start=start, lines=lines)
    assert found["set"].verdict is Verdict.PASS
    assert [line for line in lines if line.startswith("STOP_SESSION: ")]


async def test_a_start_without_a_result_fails() -> None:
    """mod_commands: the result follows ACCEPTED by POST."""
    found, _ = await check(VERSIONS[0], "command_silent", "no_reservations", role="EMSP", only=("command-result",),
                           start=Start("U", "L", "E-1"))  # fmt: skip
    assert found["command-result"].verdict is Verdict.FAIL
    assert found["command-result"].said[0].startswith("START_SESSION: ACCEPTED, and no result in ")
