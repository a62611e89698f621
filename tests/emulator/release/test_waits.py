from __future__ import annotations

import pytest

from emulator.control import waits


@pytest.mark.parametrize(("scale", "expected"), [("", 120), ("1", 120), ("60", 2), ("0.5", 240)])
def test_a_scale_divides_a_wait_in_minutes(monkeypatch: pytest.MonkeyPatch, scale: str, expected: float) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", scale)
    assert waits.seconds(2) == expected


@pytest.mark.parametrize("scale", ["0", "-1", "fast", "nan", "inf"])
def test_a_scale_that_is_none_is_named_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, scale: str
) -> None:
    monkeypatch.setenv("EMULATOR_TIME_SCALE", scale)
    assert waits.seconds(2) == 120
    assert f"EMULATOR_TIME_SCALE={scale}" in caplog.text
