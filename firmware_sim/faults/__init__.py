"""The fault seam. A fault crosses as `{"id", "params"}` and is one class of this package, with any of these methods.

Profiles and limits of the station (`now` is a `limiter.Situation`, profiles are `profiles.Profile`):

    profiles(now, profiles) -> profiles
        Whenever the limiter or a composite schedule looks at the installed profiles; `now.evse_id` 0 asks for the station.
    applied(now, profiles) -> profiles
        The same, only where the station decides what to offer: reports stay right.
    limit_a(evse_id, t, ruling, max_a, amps) -> amps
        Whenever the limiter decides for an EVSE with a transaction: `t` seconds since 1970, `ruling` the `limiter.Ruling` of
        the profiles or None, `max_a` the EVSE's own maximum, `amps` what a sound station would apply.
    lines(evse_id, phases, lines) -> lines
        Then, which of the EVSE's `phases` phases it charges on: a tuple of 0 to 2.
    random_delay(longest, seconds) -> seconds
        When a start or a planned change waits: how long.
    switch_pause(seconds) -> seconds
        When phases are switched: how long nothing is offered.
    share(total_a, wanted_a, given_a) -> given_a
        When EVSEs share the station's limit: what each would offer alone, and what it is given, in A per phase.

Messages:

    refusals(action, profile, refusals) -> refusals
        `validation.Refusal`s of SetChargingProfile, RequestStartTransaction or GetCompositeSchedule; the first is the answer.
    on_set_profile(evse_id, profile) -> profile
        After a profile was accepted and before it is installed; what is returned is installed instead, None nothing.
    on_start_profile(evse_id, profile) -> profile
        The profile that came with RequestStartTransaction; None ignores it.
    on_clear(installed, found) -> found
        The profiles that ClearChargingProfile is about to delete.
    clear_status(status) -> status
        The answer to it.
    report_found(installed, found) -> found; reports(reports) -> reports
        The profiles that GetChargingProfiles reports, and the `call.ReportChargingProfiles` that do so.
    composite_profiles(start, profiles) -> profiles; composite_window(duration_s, profiles) -> profiles
        What goes into a composite schedule.
    composite(evse_id, periods) -> periods
        Its list of `composite.CompositePeriod` before it is reported.

    request(payload) -> payload
        Each request of `ocpp.v201.call` that goes into the station's queue: TransactionEvent, MeterValues and the like.
    on_accepted(payloads) -> payloads
        The CSMS has accepted the station after a connection: what is said again after all that is queued.
    notice(payload) -> payload
        Before NotifyChargingLimit, ClearedChargingLimit, NotifyEVChargingNeeds or NotifyEVChargingSchedule: a request of
        `ocpp.v201.call`; None sends nothing.
    failsafe(seconds) -> seconds
        Whenever an external limit is set: after how long a silence the failsafe limit holds; 0 for never.
    failsafe_holds(seconds) -> seconds
        When the failsafe limit begins: for how long it holds while the silence goes on; infinity for ever.
    rate_changed(evse_id, told) -> told
        When the charging rate has changed significantly: whether a TransactionEvent says so.
    ev_schedule_check(evse_id, schedule, inside) -> inside
        On the EV's `ev_needs.Schedule`: whether it lies inside what was offered.
    needs_in_renegotiation(evse_id, told) -> told
        When the CSMS begins a renegotiation: whether NotifyEVChargingNeeds is sent again.

What befalls the station:

    end_transaction(transaction_id, profiles) -> profiles
        The TxProfiles that go with a transaction.
    on_restart(profiles) -> profiles
        What the store holds after a reset or a loss of power.
    on_link(online) -> online
        The station went online or offline; what is returned does not matter.

The network at the station's own socket:

    dead_spans(spans) -> spans
        At each message: (begin, end) in s from the start of the link on, in which everything is swallowed; then it breaks.
    answers_after(action, delays) -> delays
        At each CALL of the CSMS: after how many seconds its answer is sent; more than one sends it again.
    idle(limits) -> limits
        At each message: (seconds of silence, seconds of absence) after which the connection is closed; None never.
    replayed(history, replays) -> replays
        After a reconnect: which of the TransactionEvents that were answered before are sent once more.

The EV and the meter:

    ev_goal(evse_id, t, offer_a, soc_percent, amps) -> amps
        Whenever the EV looks anew: `amps` per phase that a sound EV settles at under this offer; 0: it does not ask, and the
        pilot stays in B. `t` in loop seconds, the offer as the EV sees it, after its dead time.
    ev_current(evse_id, t, amps) -> amps
        Then, while it charges: `amps` per phase that it really draws.
    ev_lines(evse_id, t, soc_percent, lines) -> lines
        The EVSE's own phases (0 to 2) that it charges on.
    ev_changes_at(evse_id, t, due) -> due
        When it looks anew by itself, in loop seconds, later than `t`; infinity for never.
    ev_plan(evse_id, amps) -> amps
        Whenever its agreed schedule changes: `amps` per phase that a sound EV does not exceed, infinity for none.
    averaging_s(meter, seconds) -> seconds
        At each request: over how many seconds the meter averages, up to 300; 0 for not at all.
    registers(meter, t, values) -> values
        At each request: a dict of quantity to value in V, A, W, Wh or Hz, after the meter's own distortion; `t` in loop seconds.
    encoded(meter, quantity, words) -> words
        Then, for each quantity that is asked for: its 16-bit registers in the order of their addresses.
    reply(device, t, reply) -> reply
        Then, for each device on a Modbus line: the `instruments.modbus.Reply` on its way; an empty frame is silence.
    adapter_gone(meter, t, gone_s) -> gone_s
        At each request on a serial line, before its answer: for how many seconds from now on the line's adapter is gone.
    telegram(meter, raw) -> raw
        Each telegram of a P1 or SML meter before it is sent; empty: none.

The class has `ID`, `LAYER` (station, EV, meter or network), `TEXT` and `PARAMS` (name to meaning); its constructor takes the
parameters by name and raises ValueError on a wrong one. A fault whose method raises, or returns what cannot be used, is asked
no more: the rig goes on without it, and ends with a `FaultError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final

from firmware_sim.faults.answers import ANSWER_FAULTS
from firmware_sim.faults.drifting import DRIFT_FAULTS
from firmware_sim.faults.ev import EV_FAULTS
from firmware_sim.faults.external import EXTERNAL_FAULTS
from firmware_sim.faults.failing import FaultError, misfit, place_of
from firmware_sim.faults.habits import HABIT_FAULTS
from firmware_sim.faults.inexact import INEXACT_FAULTS
from firmware_sim.faults.limits import LIMIT_FAULTS
from firmware_sim.faults.metering import METERING_FAULTS
from firmware_sim.faults.network import NETWORK_FAULTS
from firmware_sim.faults.reading import READING_FAULTS
from firmware_sim.faults.records import RECORD_FAULTS
from firmware_sim.faults.schedules import SCHEDULE_FAULTS
from firmware_sim.faults.serial_meters import SERIAL_METER_FAULTS
from firmware_sim.faults.times import TIME_FAULTS

FAULTS: Final[dict[str, Any]] = {
    one.ID: one
    for group in (
        LIMIT_FAULTS, READING_FAULTS, ANSWER_FAULTS, HABIT_FAULTS, EXTERNAL_FAULTS, METERING_FAULTS, DRIFT_FAULTS,
        SERIAL_METER_FAULTS, RECORD_FAULTS, TIME_FAULTS, SCHEDULE_FAULTS, NETWORK_FAULTS, EV_FAULTS, INEXACT_FAULTS,
    )
    for one in group
}


LAYERS: Final = ("station", "EV", "meter", "network")
POINTS: Final = frozenset((
    "adapter_gone", "answers_after", "applied", "averaging_s", "clear_status", "composite", "composite_profiles",
    "composite_window", "dead_spans", "encoded", "end_transaction", "ev_changes_at", "ev_current", "ev_goal", "ev_lines",
    "ev_plan", "ev_schedule_check", "failsafe", "failsafe_holds", "idle", "limit_a", "lines",
    "needs_in_renegotiation", "notice", "on_accepted",
    "on_clear", "on_link", "on_restart", "on_set_profile", "on_start_profile", "profiles", "random_delay", "rate_changed",
    "refusals", "registers", "replayed", "reply", "report_found", "reports", "request", "share", "switch_pause", "telegram",
))  # fmt: skip
"""The methods that a fault may have."""


def register_fault(fault: Any) -> None:
    """Add a class from outside. Raises ValueError where it is no fault, or its id is taken."""
    name = getattr(fault, "__name__", repr(fault))
    for attribute, kind in (("ID", str), ("LAYER", str), ("TEXT", str), ("PARAMS", Mapping)):
        if not isinstance(getattr(fault, attribute, None), kind):
            what = "mapping of each parameter to its meaning" if kind is Mapping else "text"
            raise ValueError(f"{name}: {attribute} is missing or no {what}")  # noqa: TRY004  bad input, whatever its type
    if fault.LAYER not in LAYERS:
        raise ValueError(f"{name}: LAYER = {fault.LAYER!r}: must be one of {', '.join(LAYERS)}")
    methods = [one for one in vars(fault) if callable(getattr(fault, one)) and not one.startswith("_")]
    for one in methods:
        if one not in POINTS:
            near = ", ".join(get_close_matches(one, POINTS, n=3) or sorted(POINTS))
            raise ValueError(f"{name}: {one}: nothing asks a fault for that; did you mean: {near}")
    if not methods:
        raise ValueError(f"{name}: has no method at any point, so it would change nothing; points: {', '.join(sorted(POINTS))}")
    if fault.ID in FAULTS:
        raise ValueError(f"{name}: ID = {fault.ID!r}: there is a fault with this id")
    FAULTS[fault.ID] = fault


def describe_faults() -> list[dict[str, Any]]:
    """Return id, layer, text and parameters of each fault that can be seeded."""
    return [{"id": id_, "layer": one.LAYER, "text": one.TEXT, "params": dict(one.PARAMS)} for id_, one in FAULTS.items()]


class FaultSeam:
    """The faults seeded so far; each point asks them in the order of seeding."""

    def __init__(self) -> None:
        self._seeded: list[Any] = []
        self._failure: str | None = None

    def seed(self, fault_id: str, params: Mapping[str, Any]) -> None:
        """Seed one fault. Raises ValueError on an unknown id or a wrong parameter."""
        fault = FAULTS.get(fault_id)
        if fault is None:
            near = get_close_matches(fault_id, FAULTS, n=3)
            said = f"did you mean: {', '.join(near)}" if near else f"known: {', '.join(sorted(FAULTS))}"
            raise ValueError(f"unknown fault {fault_id!r}; {said}")
        known: Mapping[str, str] = fault.PARAMS
        if wrong := [key for key in params if key not in known] + [key for key in known if key not in params]:
            raise ValueError(f"{fault_id}: params must be exactly {', '.join(known)}; wrong or missing: {', '.join(wrong)}")
        try:
            self._seeded.append(fault(**params))
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{fault_id}: {place_of(fault.__init__, error)}: {type(error).__name__}: {error}") from error

    def apply(self, point: str, *context: Any, value: Any) -> Any:
        """Return `value` after each seeded fault that has a method `point(*context, value)`."""
        for fault in tuple(self._seeded):
            method = getattr(fault, point, None)
            if method is None:
                continue
            try:
                returned = method(*context, value)
                wrong, place = misfit(point, value, returned), place_of(method)
            except Exception as error:  # whatever a lab's fault raises, the station stays as it is, and the lab has to read it
                wrong, place = f"{type(error).__name__}: {error}", place_of(method, error)
            if wrong:
                self._failure = self._failure or f"fault {fault.ID}: {place}: {wrong}"
                self._seeded = [one for one in self._seeded if one is not fault]
            else:
                value = returned
        return value

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raise FaultError at the end where a fault failed meanwhile, in place of whatever came of it."""
        try:
            yield
        except Exception as error:
            if self._failure is not None:
                raise FaultError(self._failure) from error
            raise
        if self._failure is not None:
            raise FaultError(self._failure)
