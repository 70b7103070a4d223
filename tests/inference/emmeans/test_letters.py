"""Compact letter displays show exactly which means differ."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.inference.emmeans.letters import letter_groups, letters


@settings(max_examples=40)
@given(
    st.integers(1, 7).flatmap(
        lambda k: st.tuples(st.just(k), st.sets(st.tuples(*[st.integers(0, k - 1)] * 2)))
    )
)
def test_two_means_share_a_letter_if_and_only_if_they_do_not_differ(drawn):
    k, pairs = drawn
    differ = np.zeros((k, k), dtype=bool)
    for i, j in pairs:
        if i != j:
            differ[i, j] = differ[j, i] = True
    shown = letters(differ)
    for i in range(k):
        assert shown[i].strip()
        for j in range(i + 1, k):
            assert bool(set(shown[i]) & set(shown[j]) - {" "}) == (not differ[i, j])


def test_no_set_of_letters_is_within_another():
    differ = np.zeros((4, 4), dtype=bool)
    differ[0, 3] = differ[3, 0] = differ[0, 2] = differ[2, 0] = True
    assert letter_groups(differ) == [{0, 1}, {1, 2, 3}]


def test_letters_of_the_means_of_machines():
    m = mm.lmer("score ~ Machine + (1 | Worker)", mm.load_dataset("Machines"))
    table = mm.emmeans(m, "Machine").cld()
    assert table["Machine"].tolist() == ["A", "B", "C"]
    assert table[".group"].tolist() == ["1  ", " 2 ", "  3"]
    assert mm.emmeans(m, "Machine").cld(reverse=True)["Machine"].tolist() == ["C", "B", "A"]
    assert mm.emmeans(m, "Machine").cld(alpha=1e-20)[".group"].tolist() == ["1"] * 3
