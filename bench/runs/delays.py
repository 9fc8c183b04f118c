"""How long a station may wait at random, as it was set over the run."""

from __future__ import annotations

from collections.abc import Iterator

from bench.runs.scene import Scene


def delay_settings(scene: Scene) -> Iterator[tuple[float, float]]:
    """Yield when the longest random delay of a station was set, and to how many s."""
    name = scene.facts.features(scene.station).get("random_delay_variable", "")
    for call in scene.calls:
        if call.from_station or call.action != "SetVariables" or call.response is None or call.answered is None:
            continue
        results = call.response["setVariableResult"]
        for asked, result in zip(call.request["setVariableData"], results, strict=False):
            full = f"{asked['component']['name']}.{asked['variable']['name']}"
            if full == name and result["attributeStatus"] == "Accepted":
                yield call.answered, float(asked["attributeValue"])


def longest_delay(scene: Scene) -> float:
    """Return by how much a limit that was planned may be applied later in this run; 0 where the target declares no delay."""
    if not scene.facts.features(scene.station).get("random_delay"):
        return 0.0
    return max((value for _, value in delay_settings(scene)), default=0.0)
