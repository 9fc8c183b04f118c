"""A rig with a load and no contactor."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.adapters.clock import LoopClock
from bench.rig.compose import _open_guard
from bench.rig.files import find_rig
from tests.support import EPOCH

RIG = """
schema = 1
name = "load-only"
[[station]]
id = "CS-1"
[[station.evse]]
id = 1
[actuators.load]
kind = "shell"
roles = ["load"]
command = [{program!r}, "-S", "-c", "import sys; print(*sys.argv[1:], file=open({out!r}, 'a'))"]
"""


async def test_a_load_alone_is_held_by_the_guard_as_well(tmp_path: Path) -> None:
    """It is drawn from through the guard's process, which switches it off at the end."""
    out, path = tmp_path / "told", tmp_path / "rig.toml"
    path.write_text(RIG.format(program=sys.executable, out=str(out)))
    order: Any = SimpleNamespace(rig=find_rig(str(path))[1], rig_path=path, out=tmp_path)
    async with AsyncExitStack() as stack:
        guard = await _open_guard(order, LoopClock(EPOCH), {}, {}, stack)
        await guard.loads["CS-1"].draw(10)
    assert [one.split()[-1] for one in out.read_text().splitlines() if one.startswith("draw ")] == ["amperes=10", "amperes=0"]
