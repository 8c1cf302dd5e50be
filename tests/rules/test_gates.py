"""The gate says every reason against a version; what was not measured does not pass."""

from __future__ import annotations

from typing import Any

import pytest

from erp_core import policy
from erp_core.rules import gates, must_pass

POLICY = policy.shipped()
GATE = gates.gate_of("hold_risk", "model", POLICY)
GOOD: dict[str, Any] = {
    "examples": 5000,
    "gain_low": 0.05,
    "calibration_error": 0.01,
    "too_good": [],
    "against": 3,
    "loss": -0.01,
}


def codes(**changed: Any) -> list[str]:
    return [p.code for p in gates.judge({**GOOD, **changed}, GATE)]


def test_a_good_version_passes() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"examples": 10}, "gate_too_few"),
        ({"too_good": [["paid_at", 0.99]]}, "gate_leakage"),
        ({"must_failed": ["credit-over"]}, "gate_must_pass"),
        ({"gain_low": 0.0}, "gate_no_gain"),
        ({"gain_low": None}, "gate_no_gain"),
        ({"calibration_error": 0.2}, "gate_not_calibrated"),
        ({"calibration_error": float("nan")}, "gate_not_calibrated"),
        ({"loss": 0.02}, "gate_worse"),
        ({"loss": None}, "gate_worse"),
        ({"against": None, "loss": 0.5}, "gate_worse"),
    ],
)
def test_each_reason_against_it_is_told(changed: dict[str, Any], code: str) -> None:
    assert codes(**changed) == [code]


def test_nothing_measured_does_not_pass() -> None:
    assert {p.code for p in gates.judge({}, GATE)} == {"gate_too_few", "gate_no_gain", "gate_not_calibrated"}


def test_a_prompt_that_proposed_something_unsafe_does_not_pass() -> None:
    gate = gates.gate_of("replies", "prompt", POLICY)
    assert [p.code for p in gates.judge({"examples": 50, "score": 1.0, "unsafe": 1, "loss": 0.0}, gate)] == [
        "gate_unsafe"
    ]


def test_the_shipped_policy_does_what_every_policy_must() -> None:
    assert must_pass.failures(POLICY) == []


@pytest.mark.parametrize(
    ("old", "new", "sample"),
    [
        ('price_tolerance_percent = "1.0"', 'price_tolerance_percent = "95"', "MP-05"),
        ('margin_floor_percent = "8.0"', 'margin_floor_percent = "-500"', "MP-06"),
        ('abnormal_factor = "8"', 'abnormal_factor = "5000"', "MP-10"),
        (
            'unrestricted_export_classes = ["EAR99", ""]',
            'unrestricted_export_classes = ["EAR99", "", "5A002"]',
            "MP-07",
        ),
    ],
)
def test_a_policy_that_lets_through_what_none_may_is_told_so(old: str, new: str, sample: str) -> None:
    numbers, authority = policy.texts()
    assert old in numbers
    found = must_pass.failures(policy.parse(numbers.replace(old, new), authority))
    assert any(words.startswith(sample) for words in found), found


def test_an_authority_that_lets_service_release_credit_is_told_so() -> None:
    numbers, authority = policy.texts()
    wide = authority + (
        '\n@id("X-1")\n@text("Anybody releases anything")\npermit (principal, action == Action::"release_hold", resource)\n'
        'when { principal.roles.contains("customer_service") };'
    )
    found = must_pass.failures(policy.parse(numbers, wide))
    assert any(words.startswith("MP-20") for words in found), found
