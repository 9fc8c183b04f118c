"""The job file: who ordered the test of what, and who carries it out. It stands in the first document of the journal."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from bench.domain.decision import DecisionRule
from bench.settings.base import Settings


class Item(Settings):
    """The charging station under test (ISO/IEC 17025:2017, 7.8.2.1 g)."""

    vendor: str = ""
    model: str = ""
    serial_number: str = ""
    """From its rating plate; a station that tells another one, or none, by BootNotification is not shown to be the item."""
    firmware: str = ""
    """As for the serial number."""
    condition: str = ""
    """As it was received: new, repaired, sealed …"""
    received: date | None = None


class Environment(Settings):
    """What surrounds the rig; an accuracy holds within a range of temperatures."""

    temperature_c: float | None = Field(default=None, ge=-60, le=80)
    humidity_percent: float | None = Field(default=None, ge=0, le=100)
    note: str = ""


class JobSettings(Settings):
    """One job."""

    version: Literal[1] = Field(alias="schema")
    number: str
    """The laboratory's number for the job."""
    laboratory: str = ""
    operator: str
    """Who carries out the test."""
    customer: str
    decision_rule: DecisionRule | None = None
    """Agreed with the customer before the test (7.1.3); a scenario with another one is refused."""
    item: Item
    environment: Environment = Environment()
    note: str = ""
