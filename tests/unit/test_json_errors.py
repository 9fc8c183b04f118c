"""What a command with --json prints when the input is wrong: one JSON object, so that whoever reads it need not guess."""

from __future__ import annotations

import json

import pytest

import bench.rig.files
from bench.cli import main
from bench.errors import RigError


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "no-such", "--json"], "no scenario 'no-such'"),
        (["run", "lowered-limit", "--rig", "nowhere", "--json"], "no rig 'nowhere'"),
        (["run", "--json"], "name either a scenario or --suite"),
        (["plan", "no-such", "--json"], "no scenario 'no-such'"),
        (["verify", "no-such", "--json"], "has no journal.jsonl"),
        (["faults", "A99", "--json"], "no field bug A99"),
        (["faults", "A03", "--seeds", "3", "--json"], "--seeds and --sound go with --matrix"),
        (["faults", "A03", "--curve", "1", "--json"], "--curve runs no field bug"),
        (["faults", "A03", "--matrix", "--write", "/no-such/x.md", "--json"], "there is no folder /no-such"),
        (["run", "field-step", "--fault", "EV.overdraw:amps=nan", "--json"], "amps=nan: must be a finite number"),
        (["verify", __file__, "--json"], "no line of it is a document"),
        (["doctor", "--wait", "-1", "--json"], "--wait -1"),
        (["commission", "CS", "--rig", "nowhere", "--json"], "no rig 'nowhere'"),
        (["stations", "--run", "no-such", "--json"], "no-such"),
        (["meter", "qualify", "--json"], "say which meter"),
    ],
    ids=lambda one: " ".join(one[:2]) if isinstance(one, list) else "",
)
def test_wrong_input_is_told_as_json(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, kind and exit code, which stays what it is; standard error says it for people all the same."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    error = json.loads(out)
    assert told in error["error"]
    assert (error["kind"].endswith("Error"), error["exit_code"]) == (True, 2)
    assert err == f"bench: {error['error']}\n"


def test_a_wrong_command_line_is_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Also what the grammar refuses, before any command is asked."""
    with pytest.raises(SystemExit) as caught:
        main(["run", "lowered-limit", "--json", "--sede", "1"])
    out, err = capsys.readouterr()
    assert (caught.value.code, json.loads(out)["error"]) == (2, "bench: error: unrecognized arguments: --sede 1")
    assert err.startswith("usage: bench")


def test_an_error_of_the_rig_and_a_defect_are_told_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 with its text; without --json standard output stays empty."""
    for error in (RigError("the meter is gone"), ZeroDivisionError("ours")):

        def fails(name: str, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(bench.rig.files, "find_rig", fails)
        assert main(["doctor", "--json"]) == 4
        told = json.loads(capsys.readouterr().out)
        assert told == {"error": str(error), "kind": type(error).__name__, "exit_code": 4}
        assert main(["doctor"]) == 4
        assert capsys.readouterr().out == ""
