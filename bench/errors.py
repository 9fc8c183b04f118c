"""One tree of errors, in families by who has to act."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date


class BenchError(Exception):
    """Anything that the bench tells its user instead of a traceback."""


class UsageError(BenchError):
    """The person at the keyboard has to act: a wrong argument or a wrong file."""


class StoppedError(BenchError):
    """Somebody stopped a run before it had begun."""


class SettingsError(UsageError):
    """A file under `config/` is wrong. Reads as `FILE: KEY = VALUE: REASON`, without what there is not; further errors follow so.

    Args: others: key, value and reason of each further error in the file. more: how many there are beyond those.
    """

    def __init__(
        self, file: str, key: str, value: object, reason: str, others: Sequence[tuple[str, object, str]] = (), more: int = 0
    ) -> None:
        self.file, self.key, self.value, self.reason = file, key, value, reason
        self.further = len(others) + more
        lines = [f"{file}: {_place(*one)}" for one in ((key, value, reason), *others)]
        super().__init__("\n".join([*lines, f"{file}: and {more} more"] if more else lines))


def _place(key: str, value: object, reason: str) -> str:
    text = value.isoformat() if isinstance(value, date) else repr(value)
    shown = text if len(text) <= 80 else text[:79] + "…"
    return (f"{key} = {shown}: " if key and value is not None else f"{key}: " if key else "") + reason


class SchemaError(UsageError):
    """We were about to send an OCPP payload that breaks its schema."""


class ProfileRuleError(UsageError):
    """We were about to send a charging profile that breaks a rule which is ours to keep; `requirements` names it."""

    def __init__(self, action: str, requirements: tuple[str, ...], text: str) -> None:
        self.action, self.requirements = action, requirements
        super().__init__(f"{action} was not sent: {text}")


class RigError(BenchError):
    """The lab has to act: an instrument, a port or a cable does not work."""


class MeterLostError(RigError):
    """The meter under test was silent for too long: the run ends early and safely, and judges what it has."""


class HardStopError(RigError):
    """A hard cap of the rig was passed: everything was switched off at once; the run judges what it has."""


class PromptTimeoutError(RigError):
    """The operator did not do what the console asked for: the run ends early and safely, and judges what it has."""


class NotApplicableError(BenchError):
    """The target does not have what the procedure is about, and does not claim to: the run ends, NOT_APPLICABLE."""


class StationError(BenchError):
    """The station under test did something that ends the step."""


class StationOfflineError(StationError):
    """There is no open connection to the station."""


class CallTimeoutError(StationError):
    """The station did not answer within the deadline: the outcome is unknown, not refused."""


class CallRejectedError(StationError):
    """The station answered with a CALLERROR."""

    def __init__(self, action: str, code: str, description: str, details: object = None) -> None:
        self.action, self.code, self.description, self.details = action, code, description, details
        super().__init__(f"{action}: CALLERROR {code}: {description}")

    @property
    def unknown(self) -> bool:
        """Say whether the station does not do such a thing at all, as one without smart charging says (K01.FR.29)."""
        return self.code in ("NotSupported", "NotImplemented")


class InvalidAnswerError(StationError):
    """The station answered with a payload that breaks the schema; `payload` is what it said."""

    def __init__(self, action: str, reason: str, payload: object) -> None:
        self.action, self.reason, self.payload = action, reason, payload
        super().__init__(f"{action}: the answer breaks the schema: {reason}")


class PeerError(BenchError):
    """An OCPI peer did something that ends the exchange."""


class EvidenceError(BenchError):
    """A journal or result cannot be read, or was altered."""
