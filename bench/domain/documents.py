"""The documents that a journal is made of.

One document is one line of JSON: `{"v": 1, "seq": n, "t": "…Z", "kind": "…", "data": {…}, "h": "…"}`. `h` is the SHA-256 of
the previous line's `h` and of this line without its own, so that a changed, missing or added line breaks the chain.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = 1
FIRST_HASH: Final = b"0" * 64
STATION_CLOCK: Final = "station_clock"
"""The setting that tells a shifted clock: `station`, `offset_s` (served, station less bench), `measured_s`, `uncertainty_s`."""


class Kind(StrEnum):
    """What a document tells, and the fields of its `data`."""

    RUN_START = "run.start"
    """`scenario`, `rig` (whole files), `seed`, `bench` (version), `mode` (virtual or real), `judged` (not: serve, commission);
    `job` (whole file, or None) and `versions` (of judge and packages) where it is judged."""
    RUN_END = "run.end"
    """`state`: completed, aborted or error; `reason`."""
    STEP_START = "step.start"
    """`step` (number), `name`, `at_s`, and the step's own settings."""
    STEP_END = "step.end"
    """`step`, `outcome`: done, failed, skipped; `detail`; `not_applicable` or `refused` where a feature of the target decides."""
    INTENT = "intent"
    """What somebody wants of a station, before any system acts on it: `station`, `evse`, `by` (operator, SCSP, BEMS, DSO,
    OPERATOR), `action` (limit or release). For a limit `profile_id`, `purpose`, and `profile` (ChargingProfileType;
    `of_running`: for whichever transaction runs on the EVSE) or `window` (`zone`, `begin`, `end` in local time, `inside`,
    `outside`, `unit`, `stack_level`, `transaction_id`); for a release `request` (ClearChargingProfile). Of all but operator
    the `profile` is OCPI's, with the `session` (SCSP) or `emergency` (the others)."""
    SETTING = "setting"
    """A setting in force: `what`, `value`, `origin` (scenario, rig, station, bench)."""
    STATION_LINK = "station.link"
    """`station`, `event`: connected, closed, refused; `reason`, `remedy`."""
    OCPP_FRAME = "ocpp.frame"
    """`station`, `dir`: in (from the station) or out; `raw`: the text as it was on the wire."""
    OCPI_REQUEST = "ocpi.request"
    """`exchange` (pairs it with its response), `from`, `to`, `method`, `url`, `headers`, `body` (text)."""
    OCPI_RESPONSE = "ocpi.response"
    """`exchange`, `status` (HTTP), `headers`, `body` (text)."""
    METER_SAMPLE = "meter.sample"
    """See MeterReading: `meter`, `requested`, `received`, the quantities, `registers`, `quality`; `stamp` where there is one."""
    METER_GAP = "meter.gap"
    """`meter`, `requested`, `reason`: an outage, never a zero."""
    METER_IDENTITY = "meter.identity"
    """`meter`, `model`, `serial_number` (as the meter tells it), `certificate` (its number; empty where
    there is none or where the serial number voids it), `accuracy` in force (as in the rig file, with the certificate's table as
    `certified`; None: not known), `energy_step_wh` (of its register; 0: nobody said), `reason`, `doubt` (what the report has to
    warn of; empty where the number on the certificate was found)."""
    PROOF = "proof"
    """What a meter showed of known loads: `station`, `evse`, `meter`, `by` (run or file), `made` (when), `load_percent` (largest
    error of the load), `phases`, `side`, `model`, `serial_number`, `energy_step_wh` (0: nobody said), `points` (`at`, `set_a`,
    `requested`, `received`, `shown_a`, `voltage_v`, `power_w`, `energy_wh`, `stamp`), `responses` (to a step: `asked`, `set`,
    `missed`, `shown`), `held` (looks at a load that stays: `requested`, `received`, `power_w`, `energy_wh`, `renewed`), `failed`,
    `clock` (the station's: `offset_s`, `uncertainty_s`, `why` not known); of a file also `sha256` and `max_age_days`."""
    LINK_FAULT = "link.fault"
    """`station` (under test), `mode` (how the relay before the CSMS disturbs all its connections), `seconds`, and `direction`,
    `delay_s`, `bytes_per_s` where the mode has them; `mode` none: it ended."""
    PILOT_SAMPLE = "pilot.sample"
    """`station`, `evse`, `state`, `duty_percent`, `ev_wants_a`: seen by the witness, written when something changed."""
    RIG_ACTION = "rig.action"
    """`action`: plug, unplug, authorise, demand, vehicle, power_cycle, cut_network, external_limit …; its arguments."""
    PROMPT = "prompt"
    """What the operator was asked: `text`, `asked` (when), `answer` (None: none came), `reason` why not."""
    FAULT_SEEDED = "fault.seeded"
    """`id`, `params`; `module` and `sha256` of the file where it is a lab's own. No judge reads it."""
    FINDING = "finding"
    """`source` (station, ocpi, bench …), `code`, `text`, `refs` (numbers of documents): worth knowing, decides nothing alone."""
    SNAPSHOT = "snapshot"
    """`station`, `what`: profiles (`profiles` as reported; None where it could not tell), availability (`connectors`, each with
    `evse`, `connector`, `status`) or variable (`component`, `variable`, `status`, `value`): as found, before it is touched."""
    RESTORED = "restored"
    """`station`, `actions` (what was done), `differences` (from the snapshot, as read back), `clean`: there are none."""
    SAFE_STATE = "safe_state"
    """`action`, `ok`, `read_back`; `stop`: false while it is armed, true for the actions that end the run and its judging."""
    VERDICT = "verdict"
    """One check's result; see `bench.domain.verdicts.CheckResult`. The last one is the run's."""


class Document(NamedTuple):
    """One line of a journal, decoded."""

    seq: int
    t: datetime
    kind: str
    data: dict[str, Any]


def chain(previous: bytes, body: bytes) -> bytes:
    """Return the hash (64 hexadecimal characters) of a line, given the previous hash and the line without its own."""
    return hashlib.sha256(previous + body).hexdigest().encode()
