"""A station is judged by its target's readings of the specification."""

from __future__ import annotations

from typing import Any

import pytest

from bench.domain.oracle import OracleOptions, Transaction
from bench.errors import SettingsError
from bench.runs.expected import SetProfile, Store
from bench.runs.facts import readings, with_power_path
from bench.settings.base import check
from bench.settings.target import TargetFeatures
from tests.support_composite import T0, profile, stamp


def event(state: str | None, offset: float) -> dict[str, Any]:
    """Return what counts here of a TransactionEventRequest."""
    info = {"transactionId": "t"} | ({"chargingState": state} if state else {})
    return {"timestamp": stamp(offset), "transactionInfo": info}


def test_features_say_how_a_station_reads_the_text() -> None:
    """What a preset says, and what is named beside it."""
    options = readings({"preset": "libocpp", "relative_anchor": "received", "local_limit": "cap"})
    assert (options.recurs_before_start, options.relative_anchor, options.local_limit) == (True, "received", "cap")


def test_a_journal_that_says_nothing_of_it_is_read_as_the_text_has_it() -> None:
    """Runs that were recorded before the options existed."""
    assert readings({}) == OracleOptions()


def test_a_preset_that_does_not_exist_is_refused(tmp_path: Any) -> None:
    """With the ones there are."""
    with pytest.raises(SettingsError, match="preset = 'libocp': must be one of text, libocpp"):
        check(TargetFeatures, {"preset": "libocp"}, tmp_path / "t.toml")


@pytest.mark.parametrize("state", ["Charging", "SuspendedEV", "SuspendedEVSE"])
def test_the_power_path_is_closed_once_energy_can_flow(state: str) -> None:
    """K01.FR.42: not while the EV is only connected; the first such event counts, later ones change nothing."""
    connected = with_power_path(Transaction("t", T0), event("EVConnected", 5), T0 + 5)
    assert connected.power_path_closed is None
    closed = with_power_path(connected, event(state, 9), T0 + 10)
    assert closed.power_path_closed == T0 + 9
    assert with_power_path(closed, event("Charging", 30), T0 + 30) == closed


def test_an_event_without_a_charging_state_closes_nothing() -> None:
    """Most updates say none."""
    assert with_power_path(Transaction("t", T0), event(None, 5), T0).power_path_closed is None


@pytest.mark.parametrize(
    ("offset", "offline", "counts"), [(9, False, 9), (7210, False, 10), (-7190, False, 10), (-7190, True, -7190)]
)
def test_a_time_stamp_that_cannot_be_so_does_not_count(offset: float, offline: bool, counts: float) -> None:
    """Right; two hours off, as with a false Z; that old, and from an outage. It came at second 10."""
    told = event("Charging", offset) | {"offline": offline}
    assert with_power_path(Transaction("t", T0), told, T0 + 10).power_path_closed == T0 + counts


def test_a_profile_knows_when_it_was_accepted() -> None:
    """A replacement is received anew."""
    store = Store()
    for at in (T0 + 3, T0 + 8):
        store.at = at
        SetProfile(1, profile(1, (0, 16)))(store)
    assert [one.received for one in store.profiles] == [T0 + 8]
