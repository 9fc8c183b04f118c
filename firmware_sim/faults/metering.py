"""Faults of Modbus meters and of the line they hang on: in what they show, in their registers and in their frames.

`meter` names one meter of the rig, or `*` for all. Moments count from the first request to that meter after the fault was seeded.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from firmware_sim.instruments.modbus import Reply

_METER: Final = "name of the meter, * for all"
_NTH: Final = "every how many replies it happens, from 1"
_FROM: Final = "seconds from the first request after which it begins"


class _OfMeter:
    """A fault of one meter or of all."""

    ID: ClassVar[str]
    LAYER: ClassVar = "meter"
    PARAMS: ClassVar[dict[str, str]]

    def __init__(self, meter: str) -> None:
        if not isinstance(meter, str) or not meter:
            raise ValueError(f"{self.ID}: meter = {meter!r}: must be the name of a meter, or *")
        self._meter = meter
        self._began: dict[str, float] = {}

    def _hits(self, meter: str) -> bool:
        return self._meter in ("*", meter)

    def _age(self, meter: str, t: float) -> float:
        """Return the seconds since the first request to this meter."""
        return t - self._began.setdefault(meter, t)

    def _number(self, key: str, value: float, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{self.ID}: {key} = {value!r}: must be a number from {low:g} to {high:g}")
        return float(value)

    def _whole(self, key: str, value: int, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{self.ID}: {key} = {value!r}: must be a whole number from {low} to {high}")
        return value


class _EveryNth(_OfMeter):
    """A fault of every nth reply."""

    def __init__(self, meter: str, every: int) -> None:
        super().__init__(meter)
        self._every, self._count = self._whole("every", every, 1, 1_000_000), 0

    def reply(self, meter: str, t: float, reply: Reply) -> Reply:
        """Spoil every nth reply."""
        if not self._hits(meter) or not reply.frame:
            return reply
        self._count += 1
        return reply if self._count % self._every else self._spoil(reply)

    def _spoil(self, reply: Reply) -> Reply:
        raise NotImplementedError


class LateReply(_EveryNth):
    """The reply comes, but late; the whole line waits for it."""

    ID: ClassVar = "meter.late-reply"
    TEXT: ClassVar = "some replies come late"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "late_s": "how much later, s", "every": _NTH}

    def __init__(self, *, meter: str, late_s: float, every: int) -> None:
        super().__init__(meter, every)
        self._late_s = self._number("late_s", late_s, 0, 3600)

    def _spoil(self, reply: Reply) -> Reply:
        return replace(reply, delay_s=reply.delay_s + self._late_s)


class StrayByte(_EveryNth):
    """Noise before the frame, as adapters and some meters make when they switch to sending."""

    ID: ClassVar = "meter.stray-byte"
    TEXT: ClassVar = "a stray byte comes before some replies (RTU)"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "byte": "its value, 0 to 255", "every": _NTH}

    def __init__(self, *, meter: str, byte: int, every: int) -> None:
        super().__init__(meter, every)
        self._byte = self._whole("byte", byte, 0, 255)

    def _spoil(self, reply: Reply) -> Reply:
        return replace(reply, frame=bytes([self._byte]) + reply.frame) if reply.rtu else reply


class CrcError(_EveryNth):
    """A bit of the payload is turned over on the wire."""

    ID: ClassVar = "meter.crc-error"
    TEXT: ClassVar = "some replies have a bit turned over, so that their CRC is wrong (RTU)"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "every": _NTH}

    def __init__(self, *, meter: str, every: int) -> None:
        super().__init__(meter, every)

    def _spoil(self, reply: Reply) -> Reply:
        if not reply.rtu:
            return reply
        middle = len(reply.frame) // 2
        return replace(reply, frame=reply.frame[:middle] + bytes([reply.frame[middle] ^ 1]) + reply.frame[middle + 1 :])


class Truncated(_EveryNth):
    """The end of the frame is lost."""

    ID: ClassVar = "meter.truncated"
    TEXT: ClassVar = "some replies end too early"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "lost_bytes": "how many bytes are lost at the end", "every": _NTH}

    def __init__(self, *, meter: str, lost_bytes: int, every: int) -> None:
        super().__init__(meter, every)
        self._lost = self._whole("lost_bytes", lost_bytes, 1, 255)

    def _spoil(self, reply: Reply) -> Reply:
        return replace(reply, frame=reply.frame[: -self._lost])


class _ForATime(_OfMeter):
    """A fault that begins and ends."""

    def __init__(self, meter: str, from_s: float, for_s: float) -> None:
        super().__init__(meter)
        self._from_s, self._for_s = self._number("from_s", from_s, 0, 1e9), self._number("for_s", for_s, 0, 1e9)

    def _lasts(self, meter: str, t: float) -> bool:
        return self._hits(meter) and self._from_s <= self._age(meter, t) < self._from_s + self._for_s


class Silent(_ForATime):
    """The meter is not there for a time."""

    ID: ClassVar = "meter.silent"
    TEXT: ClassVar = "the meter does not answer for a time"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "from_s": _FROM, "for_s": "how long, s"}

    def __init__(self, *, meter: str, from_s: float, for_s: float) -> None:
        super().__init__(meter, from_s, for_s)

    def reply(self, meter: str, t: float, reply: Reply) -> Reply:
        """Take it away."""
        return replace(reply, frame=b"") if self._lasts(meter, t) else reply


class Reboot(_ForATime):
    """The meter starts anew: it is silent, then its energy stands where it was last stored."""

    ID: ClassVar = "meter.reboot"
    TEXT: ClassVar = "the meter starts anew: silent for a time, then its energy has gone back"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": _METER, "from_s": _FROM, "for_s": "how long it is silent, s", "lost_wh": "energy that it forgets, Wh",
    }  # fmt: skip

    def __init__(self, *, meter: str, from_s: float, for_s: float, lost_wh: float) -> None:
        super().__init__(meter, from_s, for_s)
        self._lost_wh = self._number("lost_wh", lost_wh, 0, 1e12)

    def reply(self, meter: str, t: float, reply: Reply) -> Reply:
        """Be silent while it starts."""
        return replace(reply, frame=b"") if self._lasts(meter, t) else reply

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Forget energy."""
        if not self._hits(meter) or self._age(meter, t) < self._from_s:
            return values
        return {**values, "energy_import": max(0.0, values["energy_import"] - self._lost_wh)}


class Frozen(_ForATime):
    """All values stand still while the meter goes on answering."""

    ID: ClassVar = "meter.frozen"
    TEXT: ClassVar = "the meter answers with the same values for a time"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "from_s": _FROM, "for_s": "how long, s"}

    def __init__(self, *, meter: str, from_s: float, for_s: float) -> None:
        super().__init__(meter, from_s, for_s)
        self._kept: dict[str, dict[str, float]] = {}

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Show what was shown when it began."""
        if not self._lasts(meter, t):
            self._kept.pop(meter, None)
            return values
        return dict(self._kept.setdefault(meter, dict(values)))


class Held(_OfMeter):
    """The values are renewed only now and then."""

    ID: ClassVar = "meter.held"
    TEXT: ClassVar = "the meter shows one set of values for so long before it takes the next"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "every_s": "how long, s, from 0.1 to 600"}

    def __init__(self, *, meter: str, every_s: float) -> None:
        super().__init__(meter)
        self._every_s = self._number("every_s", every_s, 0.1, 600)
        self._kept: dict[str, tuple[float, dict[str, float]]] = {}

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Show what was taken last."""
        if not self._hits(meter):
            return values
        number = self._age(meter, t) // self._every_s
        taken, kept = self._kept.get(meter, (-1.0, values))
        if number != taken:
            self._kept[meter] = (number, dict(values))
            return values
        return dict(kept)


class Sentinel(_ForATime):
    """For a time all registers hold one value that means nothing."""

    ID: ClassVar = "meter.sentinel"
    TEXT: ClassVar = "for a time all registers hold a value that is none"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": _METER, "from_s": _FROM, "for_s": "how long, s", "content": "hex digits, four for each register, repeated",
    }  # fmt: skip

    def __init__(self, *, meter: str, from_s: float, for_s: float, content: str) -> None:
        super().__init__(meter, from_s, for_s)
        content = str(content)
        try:
            self._words = struct.unpack(f">{len(content) // 4}H", bytes.fromhex(content))
        except (ValueError, struct.error):
            self._words = ()
        if not self._words:
            raise ValueError(f"{self.ID}: content = {content!r}: must be four hex digits for each register")
        self._lasting: set[str] = set()

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """See whether it lasts."""
        (self._lasting.add if self._lasts(meter, t) else self._lasting.discard)(meter)
        return values

    def encoded(self, meter: str, quantity: str, words: tuple[int, ...]) -> tuple[int, ...]:
        """Put the value there."""
        if meter not in self._lasting:
            return words
        return tuple(self._words[index % len(self._words)] for index in range(len(words)))


class Lost(_OfMeter):
    """Replies get lost on a bus that others use as well."""

    ID: ClassVar = "meter.lost"
    TEXT: ClassVar = "a share of the replies never comes, spread evenly"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "share": "from 0 to 1"}

    def __init__(self, *, meter: str, share: float) -> None:
        super().__init__(meter)
        self._share, self._owed = self._number("share", share, 0, 1), 0.0

    def reply(self, meter: str, t: float, reply: Reply) -> Reply:
        """Lose it when it is its turn."""
        if not self._hits(meter) or not reply.frame:
            return reply
        self._owed += self._share
        if self._owed < 1:
            return reply
        self._owed -= 1
        return replace(reply, frame=b"")


class _OfQuantity(_OfMeter):
    """A fault of one quantity's registers or of all."""

    def __init__(self, meter: str, quantity: str) -> None:
        super().__init__(meter)
        if not isinstance(quantity, str) or not quantity:
            raise ValueError(f"{self.ID}: quantity = {quantity!r}: must be the name of a quantity, or *")
        self._quantity = quantity

    def encoded(self, meter: str, quantity: str, words: tuple[int, ...]) -> tuple[int, ...]:
        """Change the registers of the quantity."""
        return self._change(words) if self._hits(meter) and self._quantity in ("*", quantity) else words

    def _change(self, words: tuple[int, ...]) -> tuple[int, ...]:
        raise NotImplementedError


class NotAvailable(_OfQuantity):
    """The registers hold what the data sheet calls "not available"."""

    ID: ClassVar = "meter.not-available"
    TEXT: ClassVar = "registers hold a value that means: not available"
    PARAMS: ClassVar[dict[str, str]] = {
        "meter": _METER, "quantity": "name of the quantity, * for all",
        "content": "hex digits of the registers in the order of their addresses, such as 7fffffff; repeated where too short",
    }  # fmt: skip

    def __init__(self, *, meter: str, quantity: str, content: str | int) -> None:
        super().__init__(meter, quantity)
        try:
            raw = bytes.fromhex(str(content))  # a command line makes a number of 8000
        except ValueError:
            raw = b""
        if not raw or len(raw) % 2:
            raise ValueError(f"{self.ID}: content = {content!r}: must be four hex digits for each register")
        self._words = [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]

    def _change(self, words: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self._words[index % len(self._words)] for index in range(len(words)))


class WordOrder(_OfQuantity):
    """The registers of a value come in the other order, as another firmware or a wrong setting of the meter has it."""

    ID: ClassVar = "meter.word-order"
    TEXT: ClassVar = "the registers of a value come in the other order"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "quantity": "name of the quantity, * for all"}

    def __init__(self, *, meter: str, quantity: str) -> None:
        super().__init__(meter, quantity)

    def _change(self, words: tuple[int, ...]) -> tuple[int, ...]:
        return words[::-1]


class SlowAverage(_OfMeter):
    """The meter shows a moving average."""

    ID: ClassVar = "meter.slow-average"
    TEXT: ClassVar = "voltages, currents and powers are a moving average; the energy is not"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "window_s": "over how many seconds, up to 300"}

    def __init__(self, *, meter: str, window_s: float) -> None:
        super().__init__(meter)
        self._window_s = self._number("window_s", window_s, 0, 300)

    def averaging_s(self, meter: str, seconds: float) -> float:
        """Average over this window at least."""
        return max(seconds, self._window_s) if self._hits(meter) else seconds


class Sign(_OfMeter):
    """Current transformers that are clipped on the wrong way round."""

    ID: ClassVar = "meter.sign"
    TEXT: ClassVar = "the power of phases has the wrong sign, and the total with it"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "phases": "digits of the meter's phases, such as 1 or 123"}

    def __init__(self, *, meter: str, phases: str) -> None:
        super().__init__(meter)
        self._phases = str(phases)
        if not self._phases or set(self._phases) - set("123") or len(set(self._phases)) != len(self._phases):
            raise ValueError(f"{self.ID}: phases = {phases!r}: must be distinct digits from 1 to 3")

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Turn the phases round, and count them so in the total."""
        if not self._hits(meter):
            return values
        turned = {name: -values[name] for phase in self._phases if (name := f"power_l{phase}") in values}
        return {**values, **turned, "power_total": values["power_total"] + 2 * sum(turned.values())}


class Rollover(_OfMeter):
    """The energy counter begins anew at zero."""

    ID: ClassVar = "meter.rollover"
    TEXT: ClassVar = "the energy counter begins anew at zero when it is full"
    PARAMS: ClassVar[dict[str, str]] = {"meter": _METER, "modulus_wh": "where it is full, Wh"}

    def __init__(self, *, meter: str, modulus_wh: float) -> None:
        super().__init__(meter)
        self._modulus_wh = self._number("modulus_wh", modulus_wh, 1, 1e15)

    def registers(self, meter: str, t: float, values: dict[str, float]) -> dict[str, float]:
        """Keep the rest."""
        return {**values, "energy_import": math.fmod(values["energy_import"], self._modulus_wh)} if self._hits(meter) else values


METERING_FAULTS: Final[tuple[Any, ...]] = (
    LateReply, StrayByte, CrcError, Truncated, Silent, Reboot, Frozen, Held, Sentinel, Lost,
    NotAvailable, WordOrder, SlowAverage, Sign, Rollover,
)  # fmt: skip
