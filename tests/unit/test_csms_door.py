"""The door's checks on paths and headers that no station should send."""

from __future__ import annotations

import pytest

from bench.adapters.door import check_password, station_id_in
from tests.stations import rig_settings


@pytest.mark.parametrize("path", ["//[x", "//evil/CS-1", "http://h/ocpp/CS-1"])
def test_a_path_is_not_read_as_a_url(path: str) -> None:
    """It names no station, and nothing is raised."""
    assert station_id_in(path) is None


def test_a_header_outside_of_ascii_is_refused() -> None:
    """With a reason, as any other that is not basic authentication."""
    refusal = check_password(rig_settings().station[0], ["Basic \xff\xfe"])
    assert refusal is not None
    assert refusal.status == 401
