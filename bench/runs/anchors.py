"""The moments of a session from which a station may count a Relative profile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from bench.domain.evidence import EvseFacts, TransactionSpan
from bench.domain.profiles import InstalledProfile
from bench.domain.quantities import time_or
from bench.runs.checks.phases import DRAWING_A
from bench.runs.scene import Scene

NEAR_S: Final = 5.0
"""A station and a rig may see the same moment so far apart."""
_SINCE_S: Final = 3600.0
"""A session begins no longer than this before its transaction."""
RECEIPT: Final = "receipt"
TRANSACTION_START: Final = "the transaction's start"
POWER_PATH: Final = "the moment in which the power path closed"
PLUG: Final = "plugging in"
AUTHORISED: Final = "the authorisation"
CHARGING: Final = "the start of charging"
ENERGY: Final = "the first energy"
ANCHORS: Final = (TRANSACTION_START, POWER_PATH, RECEIPT, CHARGING, ENERGY, AUTHORISED, PLUG)


def moments(
    scene: Scene, evse: EvseFacts, span: TransactionSpan, relative: Sequence[InstalledProfile]
) -> dict[str, list[float]]:
    """Return the moments of one transaction's session by their name, in the bench's time; the names are ANCHORS."""
    found: dict[str, list[float]] = {name: [] for name in ANCHORS}
    offset, ended = evse.clock_offset_s, math.inf if span.ended is None else span.ended
    found[TRANSACTION_START].append(span.transaction.start - offset)
    if span.transaction.power_path_closed is not None:
        found[POWER_PATH].append(span.transaction.power_path_closed - offset)
    found[RECEIPT] += [one.received - offset for one in relative if one.received is not None]
    found[ENERGY] += [one.received for one in evse.samples.within(span.begun, ended) if max(one.current_a) > DRAWING_A][:1]
    for name, at in (*_done(scene, evse), *_told(scene, evse, span)):
        found[name].append(at)
    earlier = [one.ended for one in evse.transactions if one.ended is not None and one.ended <= span.begun]
    since = max([span.begun - _SINCE_S, *earlier])
    return {name: [at for at in times if since <= at <= ended] for name, times in found.items()}


def _done(scene: Scene, evse: EvseFacts) -> Iterator[tuple[str, float]]:
    """Yield what rig and CSMS did."""
    names = {"plug": PLUG, "authorise": AUTHORISED}
    for act in scene.facts.actions:
        if act.station == scene.station and act.action in names and act.arguments.get("evse_id") == evse.evse_id:
            yield names[act.action], act.at
    for call in scene.sent("RequestStartTransaction"):
        if call.request.get("evseId") in (None, evse.evse_id):
            yield AUTHORISED, call.asked


def _told(scene: Scene, evse: EvseFacts, span: TransactionSpan) -> Iterator[tuple[str, float]]:
    """Yield what the station told."""
    for call in scene.told("Authorize"):
        yield AUTHORISED, call.asked
    for call in scene.told("StatusNotification"):
        if call.request["evseId"] == evse.evse_id and call.request["connectorStatus"] == "Occupied":
            yield PLUG, call.asked
    charging = False
    for call in scene.told("TransactionEvent"):
        info = call.request["transactionInfo"]
        if info["transactionId"] != span.transaction.id:
            continue
        at = time_or(call.request["timestamp"], call.asked + evse.clock_offset_s) - evse.clock_offset_s
        if call.request["triggerReason"] in ("Authorized", "RemoteStart"):
            yield AUTHORISED, at
        if call.request["triggerReason"] == "CablePluggedIn":
            yield PLUG, at
        if info.get("chargingState") == "Charging" and not charging:
            charging = True
            yield CHARGING, at
