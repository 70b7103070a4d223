"""Options are checked once, where they are given."""

from __future__ import annotations

import pytest

import mixedmodels as mm
from mixedmodels.control import as_control, one_of, starting_values, whole_number


def test_options_are_frozen_and_checked():
    control = mm.LmerControl(check_rank="ignore")
    with pytest.raises(AttributeError):
        control.check_rank = "stop"
    with pytest.raises(mm.ControlError, match="'stop', 'warning', 'ignore'"):
        mm.GlmerControl(check_random_terms="maybe")


def test_a_dict_of_options():
    assert as_control({"check_rank": "stop"}, mm.LmerControl) == mm.LmerControl(check_rank="stop")
    assert as_control(None, mm.GlmerControl) == mm.GlmerControl()
    with pytest.raises(mm.ControlError, match="check_random_terms, check_rank"):
        as_control({"optimizer": "bobyqa"}, mm.LmerControl)


@pytest.mark.parametrize("value", [1.5, "9", None, -1, True])
def test_whole_numbers(value):
    with pytest.raises(mm.ControlError, match="nAGQ"):
        whole_number("nAGQ", value)


@pytest.mark.parametrize(
    ("start", "match"),
    [({"Theta": 1}, "Theta"), ([1.0], "length 1"), ("a", "numbers"), ([float("nan"), 1.0], "finite")],
)
def test_starting_values(start, match):
    with pytest.raises(mm.ControlError, match=match):
        starting_values(start, "theta", 2, ("theta", "fixef"))


def test_one_of_lists_what_is_allowed():
    with pytest.raises(mm.ControlError, match="method must be one of 'ml', 'pql', not 'em'"):
        one_of("method", "em", ("ml", "pql"))
