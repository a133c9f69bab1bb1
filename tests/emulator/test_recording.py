"""The emulator answers every request of a recording of the real wrangler in a way that wrangler accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.wrangler_recording import Stage, scenarios

Json = dict[str, Any]

INVENTED = {
    "mtls-certificate upload, key passed as certificate": "the stub stored a private key; the emulator refuses it",
    "mtls-certificate list, result null": "the stub broke the contract to see wrangler break",
    "mtls-certificate delete, reply result null": "the stub tried what else wrangler takes",
    "mtls-certificate delete, reply result {id}": "the stub tried what else wrangler takes",
}
EXACT = ("certificate_id", "version_id", "percentage", "type", "ca", "success", "last_deployed_from", "page", "count")
STUBBED = re.compile(
    r"/script-settings\.|\.tags has|POST \S+/deployments\.result\.number|POST \S+/versions\.\S+certificate_id"
)
"""Requests that the stub always answered in the same way, whatever preceded them."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def differences(recorded: object, ours: object, at: str = "") -> Iterator[str]:
    """The places where our answer lacks a key of the recorded one, has another type, or another value that matters."""
    name = at.rpartition(".")[2]
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key, value in recorded.items():
            if key not in ours:
                yield f"{at}.{key} is missing"
            else:
                yield from differences(value, ours[key], f"{at}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            yield f"{at} has {len(ours)} items, not {len(recorded)}"
        for index, (one, other) in enumerate(zip(recorded, ours, strict=False)):
            yield from differences(one, other, f"{at}.{index}")
    elif recorded is not None and type(recorded) is not type(ours) and ours is not None:
        yield f"{at} is {ours!r}, not as {recorded!r}"
    elif recorded != ours and (name in EXACT or (name == "id" and _UUID.fullmatch(str(recorded)))):
        yield f"{at} is {ours!r}, not {recorded!r}"


PLAYED = [scenario for scenario in scenarios() if scenario["name"] not in INVENTED]


@pytest.mark.parametrize("scenario", PLAYED, ids=lambda scenario: str(scenario["name"]))
def test_the_emulator_answers_as_wrangler_was_answered(scenario: Json) -> None:
    """By status, code, shape, and the ids that matter; the emulator has the state at the start of the recording."""
    stage = Stage(scenario)
    for exchange in scenario["exchanges"]:
        reply = stage.replay(exchange)
        recorded = exchange["reply"]
        at = f"{exchange['request']['method']} {exchange['request']['path']}"
        assert reply.status_code == recorded["status"], f"{at}: {reply.text}"
        found = differences(recorded["body"], reply.json(), at)
        assert [difference for difference in found if not STUBBED.search(difference)] == []
        if recorded["status"] < 429 and "in use" not in reply.text:
            codes = [error["code"] for error in recorded["body"]["errors"]]
            assert [error["code"] for error in reply.json()["errors"]] == codes, at
        if "retry-after" in (recorded.get("headers") or {}):
            assert reply.headers["retry-after"] == recorded["headers"]["retry-after"]


def test_the_recording_is_whole() -> None:
    """All 199 exchanges, and nothing is left out that is not in this file."""
    assert sum(len(scenario["exchanges"]) for scenario in scenarios()) == 199
    assert {scenario["name"] for scenario in scenarios()} >= set(INVENTED)
