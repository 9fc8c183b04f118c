"""Profiles that break a rule of the CSMS, in a run: refused, or sent on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.adapters.journal_reader import read_journal
from bench.cso.profile_gate import BROKEN_ON_PURPOSE
from bench.errors import ProfileRuleError, SettingsError
from bench.runs.procedure import Procedure
from bench.settings.base import check
from bench.settings.scenario import ScenarioSettings
from bench.settings.steps import SetProfile
from tests.procedures.test_honesty import charge, drive

LATE = [(5, 10.0)]


def findings(folder: Path) -> list[dict[str, Any]]:
    """Return the findings of a run about charging profiles."""
    documents = read_journal(folder / "journal.jsonl").documents
    return [one.data for one in documents if one.kind == "finding" and one.data["code"].startswith("profile_rule")]


def test_a_broken_profile_is_sent_on_purpose(tmp_path: Path) -> None:
    """The run goes on with the station's answer, and the journal says what was broken."""
    answers = []

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        answers.append(await procedure.set_profile(LATE, broken=True))

    outcome = drive(tmp_path / "run", body)
    assert answers == ["Rejected"]
    assert [(one["code"], "K01.FR.31" in one["text"]) for one in findings(outcome.folder)] == [(BROKEN_ON_PURPOSE, True)]


def test_a_broken_profile_is_not_sent_by_mistake(tmp_path: Path) -> None:
    """The procedure hears which rule; the station hears nothing."""

    async def body(procedure: Procedure) -> None:
        await charge(procedure)
        with pytest.raises(ProfileRuleError, match=r"K01\.FR\.31"):
            await procedure.set_profile(LATE)

    outcome = drive(tmp_path / "run", body)
    documents = read_journal(outcome.folder / "journal.jsonl").documents
    end = next(one.seq for one in documents if one.kind == "safe_state" and one.data["stop"])
    frames = [one for one in documents[:end] if one.kind == "ocpp.frame"]
    assert not [one for one in frames if "SetChargingProfile" in one.data["raw"]]


def test_a_step_says_that_it_is_broken() -> None:
    """Without the word the file is refused before anything is energised."""
    step = {"at_s": 0, "do": "set_profile", "periods": LATE}
    content = {"schema": 1, "name": "negative", "title": "", "duration_s": 10, "step": [step]}
    with pytest.raises(SettingsError, match=r"step\[0\]: periods: .*K01\.FR\.31"):
        check(ScenarioSettings, content, Path("negative.toml"))
    sound = check(ScenarioSettings, {**content, "step": [{**step, "broken": True}]}, Path("negative.toml"))
    assert isinstance(sound.step[0], SetProfile)
    assert sound.step[0].broken
