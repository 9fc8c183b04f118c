"""A run that a laboratory signs: job, signature, traceability, and the customer's copy."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.adapters.journal import encode
from bench.adapters.signature import fingerprint, load_private, load_public, new_key
from bench.cli import main
from bench.domain.documents import FIRST_HASH, chain
from bench.domain.verdicts import Verdict
from bench.errors import UsageError
from bench.rig.export import export_run
from bench.rig.files import find_job, find_rig, find_scenario
from bench.rig.session import Order, run_scenario
from bench.rig.verify import rewrite_report, verify_run
from bench.settings.instruments import MeterCertificate
from bench.settings.job import JobSettings


def order(out: Path, **changes: Any) -> Order:
    """Return the short scenario on the emulated rig, without pages."""
    path, scenario = find_scenario("lowered-limit")
    rig_path, rig = find_rig("emulated")
    return replace(Order(scenario, path, rig, rig_path, out, pages=False, job=find_job("example")), **changes)


def job(**changes: Any) -> JobSettings:
    """Return the example's job with another item or rule."""
    return JobSettings.model_validate(find_job("example").model_dump(by_alias=True) | changes)


def certified(out: Path, due: str, *, points: bool = False) -> Order:
    """Return the order with a certificate for the meter: by its points, or in its accuracy."""
    base = order(out)
    meter = base.rig.meters["evse1"]
    assert meter.accuracy is not None
    table = MeterCertificate.model_validate({
        "number": "C-1", "date": "2025-01-14", "due": due, "current": [[0, 0, 0.03], [32, 0, 0.03]],
    })  # fmt: skip
    papers = type(meter.accuracy).model_validate(meter.accuracy.model_dump() | {"certificate": "C-1", "certificate_due": due})
    changed = meter.model_copy(update={"certificate": table} if points else {"accuracy": papers})
    meters = dict(base.rig.meters) | {"evse1": changed}
    return replace(base, rig=base.rig.model_copy(update={"meters": meters}))


def forge(folder: Path) -> None:
    """Change one reading of a journal, chain it anew and let the result agree, as one would who has the files."""
    lines = [orjson.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    sample = next(one for one in lines if one["kind"] == "meter.sample")
    sample["data"]["frequency_hz"] = 49.5
    head, out = FIRST_HASH, []
    for one in lines:
        body = encode({key: value for key, value in one.items() if key != "h"})
        head = chain(head, body)
        out.append(b'%b,"h":"%b"}\n' % (body[:-1], head))
    (folder / "journal.jsonl").write_bytes(b"".join(out))
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"head": head.decode()}))


def test_the_first_document_names_the_job(tmp_path: Path) -> None:
    """Operator, customer, item and versions stand in the journal before anything else."""
    run_scenario(order(tmp_path / "run"))
    first = orjson.loads((tmp_path / "run/journal.jsonl").read_bytes().splitlines()[0])["data"]
    assert (first["job"]["operator"], first["job"]["customer"]) == ("A. Engineer", "Example Charging B.V.")
    assert first["versions"]["judge"]


def test_a_forged_and_rechained_journal_fails_the_signature(tmp_path: Path) -> None:
    """Its signature tells another head; with the signature taken away or made to fit, only the laboratory's key tells."""
    public = new_key(tmp_path / "lab.pem")
    run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem"))
    assert verify_run(tmp_path / "run", public).sound
    forge(tmp_path / "run")
    assert "changed after it was signed, or forged" in verify_run(tmp_path / "run").findings[0]
    path = tmp_path / "run/signature.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"head": verify_run(tmp_path / "run").head}))
    assert verify_run(tmp_path / "run").sound
    assert "changed after it was signed, or forged" in verify_run(tmp_path / "run", public).findings[0]


def test_a_changed_report_is_not_the_one_that_was_signed(tmp_path: Path) -> None:
    """What the customer reads is signed too, and a change of it is seen without the key as well."""
    public = new_key(tmp_path / "lab.pem")
    run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem", pages=True))
    report = tmp_path / "run/report.html"
    assert verify_run(tmp_path / "run", public).sound
    report.write_text(report.read_text().replace("PASS", "FAIL"))
    for key in (public, None):
        assert verify_run(tmp_path / "run", key).findings == ("report.html is not the one that was signed",)
    report.unlink()
    assert verify_run(tmp_path / "run").findings == ("report.html is not the one that was signed",)


def test_a_signature_of_an_earlier_version_is_held_against_its_own_rule(tmp_path: Path) -> None:
    """Schema 1 covers journal and host facts alone, which is said; a schema that nobody knows is a finding."""
    public = new_key(tmp_path / "lab.pem")
    run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem", pages=True))
    path = tmp_path / "run/signature.json"
    today = json.loads(path.read_text())
    told = {"documents": today["documents"], "head": today["head"], "host_sha256": today["files"]["host.json"]}
    signed = b"charge point bench run, version 1\n" + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    text = base64.b64encode(load_private(tmp_path / "lab.pem").sign(signed)).decode()
    earlier = told | {"schema": 1, "algorithm": "Ed25519", "key": today["key"], "signature": text}
    for content, more in ((earlier, "; it does not cover report.html and junit.xml"), (today, ""), (today | {"schema": 1}, "")):
        path.write_text(json.dumps(content))
        checked = verify_run(tmp_path / "run", public)
        assert (checked.findings, checked.lines()[1]) == ((), f"signed:  by key {today['key']}{more}")
    path.write_text(json.dumps(earlier | {"host_sha256": "0" * 64}))
    assert "changed after it was signed, or forged" in verify_run(tmp_path / "run", public).findings[0]
    path.write_text(json.dumps(today | {"schema": 3}))
    for key in (public, None):
        assert verify_run(tmp_path / "run", key).findings == ("signature.json has schema 3; this bench reads 1 and 2",)


def test_a_signed_report_is_not_overwritten(tmp_path: Path) -> None:
    """The report is written again beside it, never over it."""
    public = new_key(tmp_path / "lab.pem")
    run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem", pages=True))
    for out in (None, tmp_path / "run/../run/report.html"):
        with pytest.raises(UsageError, match="choose another --out"):
            rewrite_report(tmp_path / "run", out)
    assert rewrite_report(tmp_path / "run", tmp_path / "again.html") == (tmp_path / "again.html", True)
    assert verify_run(tmp_path / "run", public).sound


def test_machines_are_told_who_has_signed_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key, up to which document and head, which files; confirmed by the key alone. Nothing where nobody has signed."""
    public = new_key(tmp_path / "lab.pem")
    outcome = run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem"))
    told = []
    for more in ([], ["--key", str(public)]):
        assert main(["verify", str(outcome.folder), "--json", *more]) == 0
        told.append(json.loads(capsys.readouterr().out)["signed"])
    lines = len((outcome.folder / "journal.jsonl").read_text().splitlines())
    signed = {"by": fingerprint(load_public(public)), "documents": lines, "head": outcome.head, "files": ["host.json"]}
    assert told == [signed | {"checked": checked, "confirmed": checked, "not_covered": []} for checked in (False, True)]
    (outcome.folder / "signature.json").unlink()
    assert verify_run(outcome.folder).as_json()["signed"] is None


@pytest.mark.parametrize("name", ["journal.jsonl", "result.json", "signature.json", "guard.jsonl", "../run/host.json"])
def test_a_report_overwrites_no_evidence(tmp_path: Path, name: str) -> None:
    """Of a run's folder a report may only be a page, also where the file is not there yet."""
    folder = run_scenario(order(tmp_path / "run")).folder
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    with pytest.raises(UsageError, match="evidence, which is never overwritten"):
        rewrite_report(folder, folder / name)
    with pytest.raises(UsageError, match="evidence"):
        rewrite_report(folder / "journal.jsonl", folder / name)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before
    assert rewrite_report(folder, folder / "again.html")[0].is_file()


def test_another_laboratorys_key_and_no_signature_are_findings(tmp_path: Path) -> None:
    """A run that nobody signed, or somebody else, is not signed by this laboratory."""
    mine, other = new_key(tmp_path / "lab.pem"), new_key(tmp_path / "other.pem")
    run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem"))
    assert "yours is" in verify_run(tmp_path / "run", other).findings[0]
    (tmp_path / "run/signature.json").unlink()
    assert "nobody has signed" in verify_run(tmp_path / "run", mine).findings[0]


def test_the_copy_for_a_customer_has_no_token_and_verifies(tmp_path: Path) -> None:
    """Tokens, and the operator's name, are replaced; chain, verdict and signature hold, and the copy tells its original."""
    public = new_key(tmp_path / "lab.pem")
    outcome = run_scenario(order(tmp_path / "run", key=tmp_path / "lab.pem"))
    exported = export_run(tmp_path / "run", tmp_path / "copy", tmp_path / "lab.pem")
    text = (tmp_path / "copy/journal.jsonl").read_text()
    checked = verify_run(tmp_path / "copy", public)
    assert exported.replaced >= 2
    assert "hmac:" not in text
    assert "A. Engineer" not in text
    assert (checked.sound, checked.exported_from) == (True, outcome.head)


def test_a_copy_into_a_used_folder_is_refused_without_naming_an_option_that_is_none(tmp_path: Path) -> None:
    """The folder is that of --customer; `bench export` has no --out."""
    run_scenario(order(tmp_path / "run"))
    with pytest.raises(UsageError, match="is not empty; evidence is never overwritten: choose another folder"):
        export_run(tmp_path / "run", tmp_path / "run")


@pytest.mark.parametrize("points", [False, True])
def test_an_expired_certificate_is_not_traceable(tmp_path: Path, points: bool) -> None:
    """In place of PASS the run is INCONCLUSIVE, by the run's own clock (it begins just before midnight); its last day counts."""
    late = run_scenario(certified(tmp_path / "late", "2026-01-13", points=points)).judgement.verdict
    assert late.verdict is Verdict.INCONCLUSIVE
    assert late.headline == "not traceable: certificate C-1 of meter evse1 expired on 2026-01-13"
    due = run_scenario(certified(tmp_path / "due", "2026-01-14", points=points)).judgement.verdict
    assert due.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS)


def test_another_item_than_the_jobs_is_not_traceable(tmp_path: Path) -> None:
    """A station that tells another firmware than was ordered is not the item."""
    verdict = run_scenario(order(tmp_path / "run", job=job(item={"firmware": "9.9"}))).judgement.verdict
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert "the job has 9.9" in verdict.headline


def test_a_station_that_tells_no_serial_number_is_not_shown_to_be_the_item(tmp_path: Path) -> None:
    """The emulated station has none to tell; what nobody told is not confirmed."""
    verdict = run_scenario(order(tmp_path / "run", job=job(item={"serial_number": "SN-9"}))).judgement.verdict
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.headline == "not traceable: the station tells no serial number, the job has SN-9"


def test_another_decision_rule_than_agreed_is_refused(tmp_path: Path) -> None:
    """The rule is agreed before the test: the run does not begin with another."""
    scenario = find_scenario("lowered-limit")[1]
    other = "guarded" if scenario.decision_rule != "guarded" else "simple"
    with pytest.raises(UsageError, match=f"decision_rule = {other} was agreed"):
        run_scenario(order(tmp_path / "run", job=job(decision_rule=other)))
