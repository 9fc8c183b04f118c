"""A target file is written so that the same values come back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.rig.files import check_file
from bench.settings.target import TargetSettings
from bench.settings.target_text import target_text, toml_value

CONTENT: dict[str, Any] = {
    "schema": 1,
    "name": "acme-11",
    "vendor": 'A "quoted"\\\n# vendor',
    "features": {"rate_units": ["A"], "entries": 20, "ac_phase_switching": True},
    "reported": {"tx_start_point": ["EVConnected", "Authorized"], "limit_change_significance_percent": 1.5},
    "observed": {"boot_s": 12.5, "clock_offset_s": -0.25, "clock_uncertainty_s": 0.01},
    "evse": [{"id": 1, "max_current_a": 15.9, "settle_down_s": [1.0, 2.5], "zero_ampere": "keeps charging"}],
    "origin": {
        "rate_units": "reported", "entries": "entered", "tx_start_point": "reported", "boot_s": "observed",
        "limit_change_significance_percent": "reported", "clock_offset_s": "observed", "clock_uncertainty_s": "observed",
        "evse.1.max_current_a": "observed", "evse.1.settle_down_s": "observed", "evse.1.zero_ampere": "observed",
    },
}  # fmt: skip


def target(**changes: Any) -> TargetSettings:
    """Return a target, with changes."""
    return TargetSettings.model_validate(CONTENT | changes)


def test_a_target_comes_back_from_its_text() -> None:
    """The same values, and the same bytes for them."""
    text = target_text(target(), ("Commissioned on the bench", "line\nbreak = 1"))
    again = TargetSettings.model_validate(tomllib.loads(text))
    assert again == target()
    assert target_text(again, ("Commissioned on the bench", "line\nbreak = 1")) == text
    assert "# line break = 1" in text
    assert 'rate_units = ["A"]                           # reported' in text


def test_the_text_is_a_sound_target_file(tmp_path: Path) -> None:
    """`bench check` takes it."""
    (tmp_path / "t.toml").write_text(target_text(target()), encoding="utf-8")
    assert check_file(tmp_path / "t.toml") == "target"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_is_escaped(text: str) -> None:
    """Quotes, control characters, emoji: a peer chose the words."""
    assert tomllib.loads(f"a = {toml_value(text)}") == {"a": text}


@pytest.mark.parametrize("value", [1e-7, 1e300, -0.5, 3, True, ("a", "b"), (0.0, 1.5)])
def test_numbers_and_lists_come_back(value: object) -> None:
    """As TOML has them."""
    came = tomllib.loads(f"a = {toml_value(value)}")["a"]
    assert came == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"observed": {"boot_s": 3.0, "clock_takes_heartbeat": True}}, "origin.clock_.* is missing|no such feature or value"),
        ({"origin": CONTENT["origin"] | {"evse.2.standby_w": "observed"}}, "origin.evse.2.standby_w: there is no such"),
        ({"origin": {"rate_units": "guessed"}}, "reported"),
        ({"evse": [{"id": 1}, {"id": 1}]}, "each id once"),
    ],
)
def test_values_and_origins_go_together(changes: dict[str, Any], reason: str) -> None:
    """A value without an origin, and an origin without a value, are errors."""
    with pytest.raises(ValidationError, match=reason):
        target(**changes)
