"""Register maps as the emulated meter reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_sim.register_map import read_register_map
from tests.support_firmware import SDM630

QUANTITY = '[quantity]\npower_total = {{ function = "{function}", address = 10, type = "{type}", scale = {scale} }}\n'


def written(path: Path, *, word_order: str = "big", **entry: object) -> Path:
    """Write a map of one quantity and return its file."""
    text = f'word_order = "{word_order}"\n' + QUANTITY.format(**{"function": "holding", "type": "int32", "scale": 0.1, **entry})
    (path / "map.toml").write_text(text)
    return path / "map.toml"


@pytest.mark.parametrize(
    ("kind", "order", "value", "registers"),
    [
        ("int32", "big", 1000.0, (0, 10_000)),
        ("int32", "little", 1000.0, (10_000, 0)),
        ("int32", "big", -0.1, (0xFFFF, 0xFFFF)),
        ("uint16", "big", 1e9, (0xFFFF,)),
        ("uint16", "big", -5.0, (0,)),
        ("int64", "big", 6553.6, (0, 0, 1, 0)),
        ("float32", "big", 1.0, (0x4120, 0)),
        ("float64", "big", 0.2, (0x4000, 0, 0, 0)),
    ],
)
def test_a_value_is_written_as_the_map_says(
    tmp_path: Path, kind: str, order: str, value: float, registers: tuple[int, ...]
) -> None:
    """Registers x 0.1 = W; integers stop at the ends of their range; the word order turns words round, not bytes."""
    register = read_register_map(written(tmp_path, type=kind, word_order=order)).registers["power_total"]
    assert register.encode(value) == registers


def test_the_sdm630_shows_its_energy_in_kwh() -> None:
    """12 345 Wh stand as the float 12.345 at 0x48, in the one block that may be read."""
    found = read_register_map(SDM630)
    energy = found.registers["energy_import"]
    assert (energy.address, energy.encode(12_345.0)) == (0x48, (0x4145, 0x851F))
    assert found.readable == {3: (), 4: ((0, 76),)}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [({"function": "coil"}, "coil"), ({"type": "float16"}, "float16")],
)
def test_a_wrong_map_is_refused_with_its_file(tmp_path: Path, entry: dict[str, str], reason: str) -> None:
    """The message names the file and what is wrong in it."""
    with pytest.raises(ValueError, match=rf"map\.toml: .*{reason}"):
        read_register_map(written(tmp_path, **entry))


def test_an_unknown_quantity_is_refused(tmp_path: Path) -> None:
    """A slip of the pen must not end in a register that stays zero."""
    path = written(tmp_path)
    path.write_text(path.read_text().replace("power_total", "powr_total"))
    with pytest.raises(ValueError, match=r"quantity\.powr_total: unknown"):
        read_register_map(path)
