"""Each fault that can be seeded in the station changes what it says, and a sound station does otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ocpp.v201 import call

from firmware_sim.composite import CompositePeriod
from firmware_sim.faults import FAULTS, FaultSeam
from firmware_sim.limiter import Ruling, Situation
from firmware_sim.profiles import EXTERNAL, STATION_MAX, TX, TX_DEFAULT, Profile
from firmware_sim.validation import Refusal
from tests.unit.test_firmware_limiter import DAY, LIMITER, T, profile

OWN: dict[str, Any] = {"purpose": TX, "transaction_id": "tx-1", "id": 7}
DAILY: dict[str, Any] = {"kind": "Recurring", "recurrency": "Daily"}


def seeded(fault_id: str, **params: Any) -> FaultSeam:
    """Return a seam with one fault."""
    seam = FaultSeam()
    seam.seed(fault_id, params)
    return seam


def amps(seam: FaultSeam, profiles: list[Profile], offset: float) -> float | None:
    """Return what rules on EVSE 1 so many seconds after T, where its transaction began."""
    now = Situation(1, T + offset, "tx-1", T)
    ruling = LIMITER.ruling(
        seam.apply("profiles", now, value=profiles), 1, now.t, transaction_id="tx-1", transaction_start=T
    )  # fmt: skip
    return round(ruling.amps, 3) if ruling else None


READING: list[tuple[str, dict[str, Any], list[Profile], float, float | None, float | None]] = [
    ("lower-stack-wins", {}, [profile((0, 16)), profile((0, 8), id=2, stack_level=1)], 0, 8, 16),
    ("duration-forever", {}, [profile((0, 8), duration_s=60)], 60, None, 8),
    ("recurrence-midnight", {}, [profile((0, 8), (3600, 12), start=T - 5 * 3600, **DAILY)], 0, 12, 8),
    ("recurrence-backwards", {}, [profile((0, 8), start=T + DAY, **DAILY)], 0, None, 8),
    ("starts-early", {}, [profile((0, 8), start=T + 60)], 0, None, 8),
    ("validto-inclusive", {}, [profile((0, 8), valid_to=T + 60)], 60, None, 8),
    ("validto-ignored", {}, [profile((0, 8), valid_to=T + 60)], 900, None, 8),
    ("validfrom-ignored", {}, [profile((0, 8), valid_from=T + 60)], 0, None, 8),
    ("ignores-tx-over-default", {}, [profile((0, 8)), profile((0, 16), **OWN)], 0, 16, 8),
    ("txprofile-not-above-default", {}, [profile((0, 8)), profile((0, 16), **OWN)], 0, 16, 8),
    ("gap-no-fallthrough", {}, [profile((0, 8)), profile((0, 6), id=2, stack_level=1, duration_s=60)], 60, 8, None),
    ("gap-no-fallthrough", {}, [profile((0, 8)), profile((0, 16), duration_s=60, **OWN)], 60, 8, None),
    ("txdefault-only-next-transaction", {}, [profile((0, 8), received_at=T + 10)], 20, 8, None),
    ("ignores-purpose", {"purpose": STATION_MAX}, [profile((0, 8), evse_id=0, purpose=STATION_MAX)], 0, 8, None),
    ("wrong-phases-conversion", {"phases": 1}, [profile((0, 6900), unit="W")], 0, 10, 30),
    ("wrong-phases-conversion", {"phases": 3}, [profile((0, 6900, 1), unit="W")], 0, 30, 10),
    ("keeps-txprofile", {}, [profile((0, 8), **{**OWN, "transaction_id": "tx-0"})], 0, None, 8),
]


@pytest.mark.parametrize(("fault_id", "params", "profiles", "offset", "sound", "faulty"), READING)
def test_a_profile_is_read_wrongly(
    fault_id: str, params: dict[str, Any], profiles: list[Profile], offset: float, sound: float | None, faulty: float | None
) -> None:
    """The same profiles at the same moment give another limit."""
    assert amps(FaultSeam(), profiles, offset) == sound
    assert amps(seeded(f"station.{fault_id}", **params), profiles, offset) == faulty


def test_a_purpose_is_dropped_while_offline() -> None:
    """The TxProfile of 8 A counts until the link is lost, and again afterwards."""
    seam, own, seen = seeded("station.offline-drop", purpose=TX), [profile((0, 8), **OWN)], []
    for online in (True, False, True):
        seam.apply("on_link", value=online)
        seen.append(amps(seam, own, 0))
    assert seen == [8, None, 8]


def test_an_ev_without_profile_is_held_down_while_offline() -> None:
    """16 A while online, 6 A without the CSMS; a limit is applied as it is."""
    seam = seeded("station.lower-offline")
    assert seam.apply("limit_a", 1, 0.0, None, 16.0, value=16.0) == 16
    seam.apply("on_link", value=False)
    assert seam.apply("limit_a", 1, 0.0, None, 16.0, value=16.0) == 6
    assert applied(seam, 10) == [10]


def applied(seam: FaultSeam, *limits: float, phases: int = 3) -> list[float]:
    """Return what an EVSE of 16 A applies for limits in A, one after the other."""
    return [
        seam.apply("limit_a", 1, 0.0, Ruling(one, one, "A", phases, 1, TX), 16.0, value=min(one, 16.0)) for one in limits
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault_id", "params", "limits", "faulty"),
    [
        ("zero-resume", {}, (10, 0, 8, 8, 9), [10, 0, 16, 16, 9]),
        ("offers-more", {"amps": 2}, (10, 15, 0), [12, 16, 0]),
        ("never-pauses", {}, (10, 5, 0), [10, 6, 6]),
        ("sums-phases", {}, (12, 9), [4, 3]),
    ],
)
def test_a_limit_is_applied_wrongly(fault_id: str, params: dict[str, Any], limits: Any, faulty: list[float]) -> None:
    """Limits in A on an EVSE of 16 A, in this order."""
    assert applied(seeded(f"station.{fault_id}", **params), *limits) == faulty


def test_the_same_limits_again_and_again_make_it_jump() -> None:
    """The third equal profile in a row; another one mends it."""
    seam, seen = seeded("station.jumps-on-repeat", times=3), []
    for limit in (8, 8, 8, 9):
        seam.apply("on_set_profile", 1, value=profile((0, limit)))
        seen += applied(seam, limit)
    assert seen == [8, 8, 16, 9]


def test_each_evse_takes_the_whole() -> None:
    """20 A shared by two cars of 16 A: 10 A each when sound, 16 A each here."""
    assert seeded("station.max-per-evse").apply("share", 20.0, [16.0, 16.0], value=[10.0, 10.0]) == [16.0, 16.0]


@pytest.mark.parametrize(
    ("fault_id", "lines", "faulty"),
    [("ignores-numberphases", (0,), (0, 1, 2)), ("ignores-phasetouse", (1,), (0,)), ("ignores-phasetouse", (0, 1), (0, 1))],
)
def test_phases_are_chosen_wrongly(fault_id: str, lines: tuple[int, ...], faulty: tuple[int, ...]) -> None:
    """All of them, or always L1."""
    assert seeded(f"station.{fault_id}").apply("lines", 1, 3, value=lines) == faulty


CLEARED, OTHER, OUTSIDE = profile((0, 8)), profile((0, 9), id=2), profile((0, 7), id=3, purpose=EXTERNAL)
DEFAULT_0 = profile((0, 8), evse_id=0)


@pytest.mark.parametrize(
    ("fault_id", "params", "point", "context", "sound", "faulty"),
    [
        ("start-profile-ignored", {}, "on_start_profile", (1,), CLEARED, None),
        ("accepts-and-drops", {"purpose": TX_DEFAULT}, "on_set_profile", (1,), CLEARED, None),
        ("clear-overbroad", {}, "on_clear", ([CLEARED, OTHER, OUTSIDE],), [CLEARED], [CLEARED, OTHER]),
        ("report-ignores-criteria", {}, "report_found", ([CLEARED, OTHER],), [OTHER], [CLEARED, OTHER]),
        ("composite-ignores-max", {}, "composite_profiles", (T,), [profile((0, 8), purpose=STATION_MAX), OTHER], [OTHER]),
        ("composite-late-period", {}, "composite_profiles", (T,), [profile((0, 8), start=T + 9), OTHER], [OTHER]),
        ("composite-late-period", {}, "composite_profiles", (T,), [profile((0, 8), valid_from=T + 9), OTHER], [OTHER]),
        ("composite-not-summed", {}, "composite", (0,), [CompositePeriod(0, 20, 3)], [CompositePeriod(0, 10, 3)]),
        ("forgets-on-reboot", {}, "on_restart", (), [CLEARED], []),
        ("keeps-txprofile", {}, "end_transaction", ("tx-1",), [profile((0, 8), **OWN)], []),
    ],
)  # fmt: skip
def test_what_is_kept_or_told_is_wrong(
    fault_id: str, params: dict[str, Any], point: str, context: tuple[Any, ...], sound: Any, faulty: Any
) -> None:
    """At one point, what a sound station has, and what becomes of it."""
    assert seeded(f"station.{fault_id}", **params).apply(point, *context, value=sound) == faulty


def test_a_default_for_all_is_put_on_one() -> None:
    """On EVSE 1 alone; one that is for an EVSE stays there."""
    seam = seeded("station.default-on-one-evse")
    assert seam.apply("on_set_profile", 0, value=DEFAULT_0).evse_id == 1
    assert seam.apply("on_set_profile", 2, value=profile((0, 8), evse_id=2)).evse_id == 2


def test_a_known_id_does_not_replace() -> None:
    """Until it was cleared."""
    seam = seeded("station.keeps-old-of-id")
    assert [seam.apply("on_set_profile", 1, value=CLEARED) for _ in range(2)] == [CLEARED, None]
    seam.apply("on_clear", [], value=[CLEARED])
    assert seam.apply("on_set_profile", 1, value=CLEARED) == CLEARED


def test_a_cleared_profile_goes_on_to_limit() -> None:
    """Until the next one is set."""
    seam = seeded("station.clear-no-reapply")
    seam.apply("on_clear", [CLEARED], value=[CLEARED])
    assert amps(seam, [], 0) == 8
    seam.apply("on_set_profile", 1, value=OTHER)
    assert amps(seam, [], 0) is None


@pytest.mark.parametrize(
    ("fault_id", "params", "kept"),
    [
        ("accepts-anything", {"rule": "K01.FR.16"}, ["K01.FR.28"]),
        ("unknown-evse-accepted", {}, ["K01.FR.16"]),
        ("rejects-valid", {"purpose": TX_DEFAULT}, ["K01.FR.16", "K01.FR.28", ""]),
    ],
)
def test_reasons_to_refuse_are_lost_or_made_up(fault_id: str, params: dict[str, Any], kept: list[str]) -> None:
    """Two rules broken by a TxDefaultProfile."""
    broken = [Refusal("InvalidValue", "", rule) for rule in ("K01.FR.16", "K01.FR.28")]
    found = seeded(f"station.{fault_id}", **params).apply("refusals", "SetChargingProfile", CLEARED, value=broken)
    assert [one.rule for one in found] == kept


@pytest.mark.parametrize(("action", "reasons"), [("RequestStartTransaction", 1), ("SetChargingProfile", 0)])
def test_a_profile_is_made_a_reason_to_refuse_a_start(action: str, reasons: int) -> None:
    """Only where it comes with a remote start."""
    found = seeded("station.start-refused-with-profile").apply("refusals", action, CLEARED, value=[])
    assert len(found) == reasons


@pytest.mark.parametrize(("fault_id", "tbc", "request_id"), [("report-no-tbc", None, 9), ("report-wrong-request-id", True, 10)])
def test_a_report_is_marked_wrongly(fault_id: str, tbc: bool | None, request_id: int) -> None:
    """The first of several parts of request 9."""
    part = call.ReportChargingProfiles(9, "CSO", [], 1, tbc=True)
    (found,) = seeded(f"station.{fault_id}").apply("reports", value=[part])
    assert (found.tbc, found.request_id) == (tbc, request_id)


def test_every_fault_of_the_catalogue_is_shown_somewhere() -> None:
    """A fault that no test of the emulator and no field bug names is worth nothing."""
    tests = Path(__file__).parent.parent
    files = [*tests.glob("*/test_*.py"), *(tests.parent / "config/faults").glob("*.toml")]
    sources = "".join(one.read_text(encoding="utf-8") for one in sorted(files))
    assert [one for one in FAULTS if f'"{one}"' not in sources and f'"{one.removeprefix("station.")}"' not in sources] == []
