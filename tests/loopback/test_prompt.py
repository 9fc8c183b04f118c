"""The console prompts, at a pseudo terminal whose other end the test holds."""

from __future__ import annotations

import asyncio
import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.adapters import prompt
from bench.adapters.prompt import Console, PromptControl, open_console
from bench.errors import PromptTimeoutError, RigError
from bench.settings.base import check
from bench.settings.rig import RigSettings


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Give both ends of a terminal: the operator's, and the one that the bench reads."""
    operator, bench = pty.openpty()
    os.set_blocking(bench, False)
    yield operator, bench
    os.close(operator)
    os.close(bench)


def control(bench: int, timeout_s: float = 5) -> PromptControl:
    """Return a control that asks at this end of the terminal."""
    return PromptControl(Console(bench, bench), "CS-1", timeout_s)


async def shown(operator: int) -> str:
    """Return what the operator reads, as soon as there is a whole question."""
    text = ""
    while "Enter" not in text:
        text += (await asyncio.to_thread(os.read, operator, 4096)).decode()
    return re.sub(r"\s+", " ", text)


async def test_enter_says_that_it_is_done(terminal: tuple[int, int]) -> None:
    """The question names EVSE, station and time-out; Enter ends it."""
    operator, bench = terminal
    asking = asyncio.create_task(control(bench).plug(1))
    assert "Plug the EV into EVSE 1 of CS-1, then press Enter (n: cannot; 5 s)" in await shown(operator)
    os.write(operator, b"\n")
    await asking


async def test_what_is_no_answer_is_asked_again(terminal: tuple[int, int]) -> None:
    """A typing mistake never says that something was done."""
    operator, bench = terminal
    asking = asyncio.create_task(control(bench).plug(1))
    await shown(operator)
    os.write(operator, b"what?\n")
    assert "Plug the EV into EVSE 1 of CS-1, then press Enter" in await shown(operator)
    assert not asking.done()
    os.write(operator, b"\n")
    await asking


async def test_an_ev_is_asked_for_in_words_and_numbers(terminal: tuple[int, int]) -> None:
    """What it says over ISO 15118 may be a word."""
    operator, bench = terminal
    asking = asyncio.create_task(control(bench).vehicle(1, {"iso15118": 1, "departure_s": 3600.0, "ev_profile": "inside"}))
    assert "with iso15118 1, departure_s 3600, ev_profile inside; do not" in await shown(operator)
    os.write(operator, b"\n")
    await asking


@pytest.mark.parametrize("word", [b"n\n", b"skip\n", b"NO\n"])
async def test_an_operator_who_cannot_ends_the_run(terminal: tuple[int, int], word: bytes) -> None:
    """The reason names what was asked for."""
    operator, bench = terminal
    asking = asyncio.create_task(control(bench).power_cycle())
    await shown(operator)
    os.write(operator, word)
    with pytest.raises(PromptTimeoutError, match="could not: Switch the supply of CS-1 off"):
        await asking


async def test_nobody_answers(terminal: tuple[int, int]) -> None:
    """A time-out, not a hang."""
    with pytest.raises(PromptTimeoutError, match=r"within 0\.05 s: Unplug the EV"):
        await control(terminal[1], 0.05).unplug(2)


async def test_an_answer_from_before_the_question_does_not_count(terminal: tuple[int, int]) -> None:
    """Someone who pressed Enter early has not plugged in yet."""
    operator, bench = terminal
    os.write(operator, b"\n\n")
    await asyncio.sleep(0.05)
    with pytest.raises(PromptTimeoutError, match="nobody answered"):
        await control(bench, 0.1).plug(1)


async def test_a_card_is_any_card(terminal: tuple[int, int]) -> None:
    """The token that the bench made up is not shown."""
    operator, bench = terminal
    asking = asyncio.create_task(control(bench).authorise(1, "MADE-UP-TOKEN"))
    assert "MADE-UP" not in (text := await shown(operator))
    assert "Present a card at EVSE 1" in text
    os.write(operator, b"\n")
    await asking


async def test_a_file_is_no_console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a terminal, and with input from a file, there is nobody to ask."""
    monkeypatch.setattr(prompt, "TERMINAL", str(tmp_path / "none"))
    with (tmp_path / "in").open("w+") as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(RigError, match="no terminal to ask the operator"):
            async with open_console():
                pass


def test_an_operator_and_an_emulator_exclude_one_another() -> None:
    """Who acts must be clear."""
    rig = {"schema": 1, "name": "r", "station": [{"id": "CS", "evse": [{"id": 1}]}], "operator": {}, "emulator": {}}
    with pytest.raises(Exception, match="exclude one another"):
        check(RigSettings, rig, Path("rig.toml"))


async def test_input_without_an_end_does_not_stop_the_bench() -> None:
    """Such as `yes | bench run`: what was there before the question is thrown away within bounds. A device stands in for it."""
    endless, silent = os.open("/dev/zero", os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    try:
        with pytest.raises(PermissionError):  # the next thing done is to wait for it, which a device like this refuses
            await PromptControl(Console(endless, silent), "CS-1", 5).plug(1)
    finally:
        os.close(endless)
        os.close(silent)
