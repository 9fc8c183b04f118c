"""The first thing in the report of a run that is no PASS: demanded what, by whom; what happened; how sure; who; where."""

from __future__ import annotations

from bench.domain.evidence import Judgement
from bench.report.why import why_section
from tests.support_conduct import Story, tx_profile


def told(drawn: float) -> tuple[str, Judgement]:
    """Return what the section says of a car that draws so much under 10 A."""
    story = Story(checks=["power"])
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.set(tx_profile(limit=10))
    story.draw(120, evse1=lambda second: 16.0 if second < 26 else drawn)
    judgement = story.judgement(121)
    return str(why_section(judgement, story.journal.documents, set()) or ""), judgement


def test_it_says_what_was_demanded_by_whom_and_how_sure() -> None:
    """The limit over its whole period, the profile that set it, the excess beside its uncertainty, layer and class."""
    text, _ = told(13.0)
    assert "At most 10.0 A from" in text
    assert "set by profile 5 (TxProfile, stack level 0)" in text
    assert "The excess is 3.00 A" in text
    assert "Class: over limit." in text


def test_a_pass_needs_no_explanation() -> None:
    """Nothing is said where nothing is wrong."""
    assert told(9.8)[0] == ""
