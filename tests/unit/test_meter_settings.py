"""Register maps: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.errors import SettingsError
from bench.settings.base import check, load
from bench.settings.instruments import ModbusTcpMeter
from bench.settings.meter import MeterMap, load_meter_map
from bench.settings.rig import RigSettings
from tests.support import EPOCH

CONFIG = Path(__file__).parents[2] / "config"
FILE = Path("config/meters/mine.toml")


def content(**changes: Any) -> dict[str, Any]:
    """Return a small sound map with some top-level keys replaced."""
    power = {"function": "input", "address": 10, "type": "int32", "unit": "W"}
    sound = {
        "schema": 1,
        "model": "M",
        "source": "its manual",
        "word_order": "big",
        "block": [{"function": "input", "address": 10, "count": 4}],
        "quantity": {"power_total": power},
    }
    return sound | changes


def quantity(**changes: Any) -> dict[str, Any]:
    """Return the quantities of the small map with the power changed."""
    return {"power_total": content()["quantity"]["power_total"] | changes}


def reason(changed: dict[str, Any]) -> str:
    """Return the error's text for a map that must be refused."""
    with pytest.raises(SettingsError) as error:
        check(MeterMap, changed, FILE)
    return str(error.value)


@pytest.mark.parametrize("path", sorted((CONFIG / "meters").glob("*.toml")), ids=lambda path: str(path.stem))
def test_a_shipped_map_is_sound(path: Path) -> None:
    """Each map in config/meters loads and makes a plan."""
    meter_map = load(MeterMap, path)
    assert meter_map.at(0).plan().mapped > 0


def test_the_sdm630_reads_all_in_one_request() -> None:
    """The SDM630 gives U, I, P, f and energy in one block of 76 registers, energy in kWh."""
    registers = [0] * 76
    registers[0x34:0x36] = [0x462C, 0x8000]  # 11040.0
    registers[0x48:0x4A] = [0x3F00, 0x0000]  # 0.5 kWh
    reading = load(MeterMap, CONFIG / "meters/sdm630.toml").plan().decode([registers], EPOCH, EPOCH)
    assert (reading.power_w, reading.energy_import_wh, reading.quality) == (11040.0, 500.0, "ok")


def test_a_path_counts_from_the_rig_file() -> None:
    """`register_map` is relative to the file in which it stands, wherever the bench was started."""
    rig_file = CONFIG / "rigs/emulated.toml"
    meter = load(RigSettings, rig_file).meters["evse1"]
    assert isinstance(meter, ModbusTcpMeter)
    meter_map = load_meter_map(rig_file, meter)
    assert meter_map.model == "Eastron SDM630-Modbus V2"


def test_an_unknown_quantity_is_named() -> None:
    """A typing error in a quantity's name is found, not left unread."""
    text = reason(content(quantity={"powr_total": quantity()["power_total"]}))
    assert text.startswith("config/meters/mine.toml: quantity.powr_total")


def test_a_unit_must_suit_the_quantity() -> None:
    """kW registers are scaled to W, never called kW."""
    assert "quantity.power_total.unit is Wh: must be W; use scale to convert" in reason(content(quantity=quantity(unit="Wh")))


def test_a_quantity_outside_the_blocks_is_refused() -> None:
    """A value that no request reads cannot be had; the last register of the type counts."""
    text = reason(content(quantity=quantity(address=13)))
    assert "quantity.power_total takes input registers 0x000d to 0x000e, which no block covers" in text


def test_a_quantity_of_the_other_function_is_outside() -> None:
    """Holding and input registers are two address spaces."""
    assert "holding registers 0x000a to 0x000b, which no block covers" in reason(content(quantity=quantity(function="holding")))


def test_quantities_must_not_share_a_register() -> None:
    """Two values cannot stand in one register: one address is wrong."""
    twice = quantity() | {"power_l1": quantity(address=11)["power_total"]}
    assert "quantity.power_total and quantity.power_l1 overlap at input register 0x000b" in reason(content(quantity=twice))


def test_blocks_must_not_overlap() -> None:
    """A register that is read twice in one reading has two values."""
    blocks = [{"function": "input", "address": 10, "count": 4}, {"function": "input", "address": 13, "count": 2}]
    assert "overlap at input register 0x000d" in reason(content(block=blocks))


def test_a_block_ends_in_the_address_space() -> None:
    """There is no register 65536."""
    assert "ends at register 65536" in reason(content(block=[{"function": "input", "address": 65535, "count": 2}]))


def test_a_block_has_at_most_125_registers() -> None:
    """One request cannot ask for more."""
    text = reason(content(block=[{"function": "input", "address": 0, "count": 126}]))
    assert "block[0].count = 126: " in text


@pytest.mark.parametrize("scale", [0, float("nan"), float("inf")])
def test_a_scale_that_ruins_each_value_is_refused(scale: float) -> None:
    """0, NaN and infinity are no scales."""
    assert "quantity.power_total.scale" in reason(content(quantity=quantity(scale=scale)))


@pytest.mark.parametrize(("kind", "sentinel"), [("int32", -1), ("int32", 1 << 32), ("float32", 1)])
def test_a_sentinel_must_be_possible(kind: str, sentinel: int) -> None:
    """A sentinel that the register can never hold would hide nothing."""
    assert "not_available" in reason(content(quantity=quantity(type=kind, not_available=[sentinel])))


def test_a_map_without_power_and_current_is_refused() -> None:
    """A meter of voltages alone cannot judge a limit."""
    voltage = {"voltage_l1": quantity(unit="V")["power_total"]}
    assert "needs power_total, power_l1 or current_l1" in reason(content(quantity=voltage))


def test_an_unknown_quantity_is_named_once() -> None:
    """The key is where it stands in the file, and the reason lists what there is."""
    text = reason(content(quantity={"power_sum": quantity()["power_total"]}))
    assert text.startswith("config/meters/mine.toml: quantity.power_sum: must be 'voltage_l1', ")


def test_several_files_are_checked_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong one keeps no other from being looked at, and ends with 2."""
    wrong = [tmp_path / name for name in ("a.toml", "b.toml")]
    for path in wrong:
        path.write_text("schema = 1\nquantity = 1\n")
    assert main(["check", str(wrong[0]), str(CONFIG / "meters/sdm630.toml"), str(wrong[1])]) == 2
    out, err = capsys.readouterr()
    assert "sdm630.toml: a sound meter file" in out
    assert all(str(path) in err for path in wrong)
