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


def test_what_was_demanded_and_how_sure_belong_to_the_breach_that_is_told_first() -> None:
    """10 A by 3 A weighs more than 16 A by 4 A, and limit, excess and detection limit are those of the first."""
    story = Story(checks=["power"])
    story.transaction()
    story.draw(20, evse1=lambda _: 16.0)
    story.set(tx_profile(limit=10))
    story.draw(120, evse1=lambda _: 13.0)
    story.set(tx_profile(limit=16))
    story.draw(220, evse1=lambda _: 20.0)
    judgement = story.judgement(221)
    text = str(why_section(judgement, story.journal.documents, set()))
    assert judgement.verdict.headline.startswith("CS-EMU-1 EVSE 1 exceeded its limit of 10.0 A by 3.0 A")
    assert "At most 10.0 A from" in text
    assert "The excess is 3.00 A" in text
    assert "detection limit: 10." in text


def test_why_somebody_is_blamed_is_said() -> None:
    """Nobody saw the pilot, so nothing parts station and EV, and the sentence says why."""
    text, judgement = told(13.0)
    assert judgement.verdict.checks[0].breaches[0].why == "nothing shows what was offered, so the evidence does not separate them"
    assert "station or EV: nothing shows what was offered" in text
