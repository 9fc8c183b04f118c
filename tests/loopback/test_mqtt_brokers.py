"""Brokers that are slow, gone, strict or hostile, and aborts by MQTT: what a run makes of them."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.subscribe
import pytest
import trustme

import bench.adapters.mqtt
import bench.rig.feed
from bench.adapters.journal_reader import read_journal
from bench.adapters.mqtt import open_mqtt
from bench.domain.documents import Kind
from bench.rig.feed import LARGEST_COMMAND
from bench.rig.session import Outcome
from bench.settings.safety import MqttSettings
from tests.support_mqtt import broker, free_port, run, slow_broker, until

RIG = """
schema = 1
name = "desk"
[[station]]
id = "CS-1"
[[station.evse]]
id = 1
"""
PASSWORD = "s3cret-of-the-lab"


class Stage:
    """Lets something happen when the run has written its n-th document of a kind; the run waits for it."""

    def __init__(self, acts: Mapping[str, Mapping[int, Callable[[], None]]]) -> None:
        self._acts = acts
        self._seen: dict[str, int] = {}

    def __call__(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one document."""
        self._seen[kind] = self._seen.get(kind, 0) + 1
        act = self._acts.get(kind, {}).get(self._seen[kind])
        if act is not None:
            act()


def test_no_broker_disturbs_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent, not there, or reading a byte a second: the same journal byte by byte, a line that says so, no thread left."""
    monkeypatch.setattr(bench.adapters.mqtt, "FLUSH_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        run(tmp_path / "silent", port=port, allow_abort=False)
    run(tmp_path / "gone", port=port, allow_abort=False)
    assert capsys.readouterr().err.count("cannot be reached") <= 2
    with slow_broker(port):
        run(tmp_path / "slow", port=port, allow_abort=False)
        assert "mqtt" not in {thread.name for thread in threading.enumerate()}
    assert len({(tmp_path / name / "journal.jsonl").read_bytes() for name in ("silent", "gone", "slow")}) == 1


def test_what_is_dropped_is_counted_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator reads how many messages the broker did not get; the journal knows nothing of it."""
    monkeypatch.setattr(bench.adapters.mqtt, "QUEUE", 10)
    run(tmp_path / "run", port=free_port(), allow_abort=False)
    assert "messages were not published" in capsys.readouterr().err
    assert b"not published" not in (tmp_path / "run/journal.jsonl").read_bytes()


@pytest.mark.outside("mosquitto")
async def test_a_broker_that_comes_back_during_a_run_is_told_how_it_ended(tmp_path: Path) -> None:
    """Its journal is that of a run whose broker was there; the state is told again."""
    with broker(tmp_path) as one:
        back = partial(paho.mqtt.subscribe.simple, "hil/v1/+/status", hostname="127.0.0.1", port=one.port)
        stage = Stage({Kind.METER_SAMPLE: {20: one.stop, 60: one.start, 61: back}})  # virtual time waits until the feed is back
        await asyncio.to_thread(run, tmp_path / "back", 0, stage, port=one.port)
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            await client.subscribe("hil/v1/emulated/session", qos=1)
            await client.subscribe("hil/v1/emulated/meter/evse1/meta", qos=1)  # what did not change since
            told = await asyncio.wait_for(until(client, lambda message: str(message.topic).endswith("meta")), 5)
        await asyncio.to_thread(run, tmp_path / "there", port=one.port)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert b'"verdict":"PASS"' in bytes(told[0].payload)
    assert b'"dropped":0' in bytes(told[0].payload)
    assert (tmp_path / "back/journal.jsonl").read_bytes() == (tmp_path / "there/journal.jsonl").read_bytes()


@pytest.mark.outside("mosquitto")
async def test_the_last_will_says_that_a_killed_bench_is_offline(tmp_path: Path) -> None:
    """SIGKILL of a bench that serves: the broker says `offline`, retained."""
    with broker(tmp_path) as one:
        (tmp_path / "rig.toml").write_text(RIG + f"[mqtt]\nport = {one.port}\n")
        command = [sys.executable, "-m", "bench", "serve", "--rig", "rig.toml", "--listen", "127.0.0.1:0"]
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            await client.subscribe("hil/v1/+/status", qos=1)
            process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
            await asyncio.wait_for(until(client, lambda message: message.payload == b"online"), 20)
            process.send_signal(signal.SIGKILL)
            await asyncio.wait_for(until(client, lambda message: message.payload == b"offline"), 10)
            await process.wait()


@pytest.mark.outside("mosquitto")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho forgets a socket whose handshake failed
async def test_a_broker_is_checked_by_its_certificate(tmp_path: Path) -> None:
    """With TLS and a password for one whose authority is known; one that another authority vouches for gets nothing."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    files = [f"{name} {tmp_path / 'server.pem'}" for name in ("certfile", "keyfile")]
    with broker(tmp_path, PASSWORD, *files) as one:
        assert await first_word(one.port, tmp_path / "ca.pem") == "t"
        assert "certificate verify failed" in await first_word(one.port, tmp_path / "other.pem")
        assert "none.pem: No such file" in await first_word(one.port, tmp_path / "none.pem")


async def first_word(port: int, ca_file: Path) -> str:
    """Connect by TLS; return the topic of a message that came back, or the line that says why none can."""
    settings = {"port": port, "tls": True, "ca_file": str(ca_file), "username": "bench", "password": PASSWORD}
    words, loop = asyncio.Queue[str](), asyncio.get_running_loop()

    def say(word: str, *_: object) -> None:
        loop.call_soon_threadsafe(words.put_nowait, word)

    with open_mqtt(MqttSettings.model_validate(settings), handlers={"t": say}, announce=say) as feed:
        feed.publish("t", b"1", qos=1)
        return await asyncio.wait_for(words.get(), 10)


@pytest.mark.outside("mosquitto")
async def test_a_wrong_password_is_said_once_and_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run goes on without the feed; the reason stands on standard error, the password nowhere."""
    with broker(tmp_path, "another") as one:
        outcome = await asyncio.to_thread(run, tmp_path / "run", port=one.port, username="bench", password=PASSWORD)
    await asyncio.get_running_loop().shutdown_default_executor()
    told = capsys.readouterr().err
    assert outcome.judgement.verdict.verdict == "PASS"
    assert told.count("ot authori") == 1
    assert PASSWORD not in told
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file())


def test_a_name_that_is_not_resolved_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end does not wait for the resolver: the connection's thread is gone while the look-up still hangs."""
    answer, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(bench.adapters.mqtt, "FLUSH_S", 0.2)

    def hang(*_: object, **__: object) -> None:
        asked.set()
        answer.wait()
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with open_mqtt(MqttSettings(host="broker.invalid"), announce=lambda _: None):
        assert asked.wait(10)
    names = {thread.name for thread in threading.enumerate()}
    answer.set()
    assert "mqtt" not in names
    for thread in threading.enumerate():
        if thread.name == "mqtt lookup":
            thread.join()


async def aborted(
    out: Path, port: int, monkeypatch: pytest.MonkeyPatch, *commands: tuple[str, int, bytes], **mqtt: Any
) -> Outcome:
    """Run, and publish to `cmd/abort` when the n-th document of a kind was written; the run goes on once the bench has it."""
    loop, online, arrived = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    known = bench.rig.feed.abort_reason

    def reason(payload: bytes) -> str:
        arrived.set()
        return known(payload)

    monkeypatch.setattr(bench.rig.feed, "abort_reason", reason)
    async with aiomqtt.Client("127.0.0.1", port) as client:

        async def send(payload: bytes) -> None:
            await online.wait()
            await client.publish("hil/v1/emulated/cmd/abort", payload, qos=1)

        def act(payload: bytes) -> None:
            arrived.clear()
            asyncio.run_coroutine_threadsafe(send(payload), loop).result(10)
            assert arrived.wait(10)

        stage = Stage({kind: {count: partial(act, payload)} for kind, count, payload in commands})
        await client.subscribe("hil/v1/emulated/status", qos=1)
        ran = asyncio.create_task(asyncio.to_thread(run, out, 1_000, stage, port=port, **mqtt))
        await asyncio.wait_for(until(client, lambda message: message.payload == b"online"), 10)
        online.set()
        outcome = await ran
    await loop.shutdown_default_executor()
    return outcome


@pytest.mark.outside("mosquitto")
async def test_an_abort_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cmd/abort` ends a run, also one in virtual time, in the safe state, and says who wanted it."""
    with broker(tmp_path) as one:
        outcome = await aborted(tmp_path / "run", one.port, monkeypatch, (Kind.METER_SAMPLE, 30, b'{"reason": "smoke"}'))
    assert outcome.judgement.verdict.state == "aborted"
    documents = read_journal(tmp_path / "run/journal.jsonl").documents
    texts = [one.data["text"] for one in documents if one.kind == "finding" and one.data["code"] == "abort"]
    assert texts == ["cmd/abort by MQTT: smoke"]
    actions = [one.data["action"] for one in documents if one.kind == Kind.SAFE_STATE]
    assert ("open contactor" in actions, "hard stop" in actions) == (True, False)


@pytest.mark.outside("mosquitto")
async def test_a_second_abort_is_a_hard_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the second Ctrl-C is."""
    commands = (Kind.METER_SAMPLE, 30, b""), (Kind.SAFE_STATE, 3, b"")
    with broker(tmp_path) as one:
        outcome = await aborted(tmp_path / "run", one.port, monkeypatch, *commands)
    assert outcome.judgement.verdict.state == "aborted"
    documents = read_journal(tmp_path / "run/journal.jsonl").documents
    assert "hard stop" in [one.data["action"] for one in documents if one.kind == Kind.SAFE_STATE]


@pytest.mark.outside("mosquitto")
async def test_what_is_no_abort_ends_no_run(tmp_path: Path) -> None:
    """A retained one is old, and a huge one is no command: the bench says nothing of either."""
    with broker(tmp_path) as one:
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            await client.publish("hil/v1/emulated/cmd/abort", b"{}", qos=1, retain=True)
            loop, topic = asyncio.get_running_loop(), "hil/v1/emulated/cmd/abort"

            def huge() -> None:
                sent = client.publish(topic, b" " * (LARGEST_COMMAND + 1), qos=1)
                asyncio.run_coroutine_threadsafe(sent, loop).result(10)

            stage = Stage({Kind.METER_SAMPLE: {30: huge, 60: huge}})
            outcome = await asyncio.to_thread(run, tmp_path / "run", 300, stage, port=one.port)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert outcome.judgement.verdict.state == "completed"
    assert b"cmd/abort" not in (tmp_path / "run/journal.jsonl").read_bytes()


@pytest.mark.outside("mosquitto")
async def test_a_rig_that_allows_no_abort_does_not_listen_for_one(tmp_path: Path) -> None:
    """With `allow_abort = false` nobody on the network can stop a run."""
    with broker(tmp_path) as one:
        async with aiomqtt.Client("127.0.0.1", one.port) as client:
            loop = asyncio.get_running_loop()

            def abort() -> None:
                asyncio.run_coroutine_threadsafe(client.publish("hil/v1/emulated/cmd/abort", b"{}", qos=1), loop).result(10)

            stage = Stage({Kind.METER_SAMPLE: {30: abort, 60: abort}})
            outcome = await asyncio.to_thread(run, tmp_path / "run", 300, stage, port=one.port, allow_abort=False)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert outcome.judgement.verdict.state == "completed"
