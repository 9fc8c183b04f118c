"""What a check looks at: the EVSE under test, its station, and the limits that had to hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench.domain.evidence import EvseFacts, Limits, RunFacts
from bench.domain.verdicts import CheckResult
from bench.runs.checks.power import PowerRule, judge_power
from bench.runs.checks.station_power import judge_station_power
from bench.runs.delays import longest_delay
from bench.runs.scene import Scene


@dataclass(frozen=True)
class Case:
    """One run, seen from the EVSE under test."""

    scene: Scene
    """Its station: messages, store, transactions."""
    evse: EvseFacts
    limits: Limits
    """The expected limit on the EVSE over the run."""
    caps: Limits
    """What binds the sum of all EVSEs of the station."""

    @property
    def facts(self) -> RunFacts:
        """Return all that is known of the run."""
        return self.scene.facts

    @property
    def scenario(self) -> dict[str, Any]:
        """Return the scenario as the journal has it."""
        return self.facts.scenario

    @cached_property
    def rule(self) -> PowerRule:
        """Return what the scenario declares about judging power."""
        rule = PowerRule.of(self.scenario)
        return replace(rule, settle_s=rule.settle_s + longest_delay(self.scene))

    @cached_property
    def power(self) -> CheckResult:
        """Return what the measured power at the EVSE says."""
        return judge_power(self.facts, self.evse, self.limits, self.rule)

    @cached_property
    def station_power(self) -> CheckResult:
        """Return what the sum of the EVSEs' meters says."""
        return judge_station_power(self.facts, self.scene.evses, self.caps, self.rule)

    @property
    def capped(self) -> bool:
        """Say whether anything bound the whole station."""
        return any(one is not None for one in self.caps.values)
