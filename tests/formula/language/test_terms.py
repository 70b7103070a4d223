"""The algebra of terms: R's terms() on every operator."""

import pytest

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.terms import expand_terms

# (expression, attr(terms(...), "term.labels"), attr(terms(...), "intercept")) in R 4.2.2
EXPANDED = [
    ("a + b + a", "a b", True),
    ("a * b", "a b a:b", True),
    ("b:a + a", "a b:a", True),
    ("z:x + z", "z z:x", True),
    ("a * b %in% c + (a+b)/c + b:a - a:c", "a b b:c a:b a:b:c", True),
    ("(a + b + c)^2", "a b c a:b a:c b:c", True),
    ("(a + b + c)^2 - a:b", "a b c a:c b:c", True),
    ("(a * b)^2", "a b a:b", True),
    ("a / b", "a a:b", True),
    ("(a + b) / c", "a b a:b:c", True),
    ("a / (b + c)", "a a:b a:c", True),
    ("a / b / c", "a a:b a:b:c", True),
    ("a %in% b", "a:b", True),
    ("0 + a", "a", False),
    ("a - 1", "a", False),
    ("a + 0 + 1", "a", True),
    ("a - 0", "a", True),
    ("-1", "", False),
    ("-a", "", True),
    ("1:a", "", True),
    ("a:a", "a", True),
    ("1 * a", "", True),
    ("a * 1", "a", True),
    ("(a - a) / b + c", "c", True),
    ("log(a) + I(a^2):b", "log(a) I(a^2):b", True),
    ("a + offset(b)", "a", True),
    ("(a + b) * (c + d) - b:d", "a b c d a:c a:d b:c", True),
    ("a:b:c + a", "a a:b:c", True),
    ("c + b + a + (a + b):c", "c b a c:a c:b", True),
]


@pytest.mark.parametrize(("text", "labels", "intercept"), EXPANDED)
def test_expansion_is_that_of_R(text, labels, intercept):
    terms = expand_terms(parse_expression(text), text)
    assert sorted(terms.labels) == sorted(labels.split())
    assert [label.count(":") for label in terms.labels] == sorted(label.count(":") for label in terms.labels)
    assert terms.intercept is intercept


def test_order_within_a_degree_is_that_of_appearance():
    assert expand_terms(parse_expression("b + c:a + a + b:c"), "").labels == ("b", "a", "c:a", "b:c")


def test_a_dot_is_every_other_column():
    terms = expand_terms(parse_expression(". - g"), "", ["y", "x", "z", "g"], parse_expression("log(y)"))
    assert terms.labels == ("x", "z")


def test_a_dot_without_columns_is_an_error():
    with pytest.raises(FormulaError, match=r"'\.'"):
        expand_terms(parse_expression("x + ."), "x + .")


@pytest.mark.parametrize(
    ("text", "position"),
    [("a + 2", 4), ("a^b", 1), ("a^0", 1), ("a^1.5", 1), ("a + 'b'", 4), ("offset(a, b)", 0)],
)
def test_what_cannot_be_a_term_is_refused(text, position):
    with pytest.raises(FormulaError) as caught:
        expand_terms(parse_expression(text), text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "text", ["(" + "+".join(f"v{i}" for i in range(40)) + ")^40", "*".join(f"v{i}" for i in range(40))]
)
def test_explosions_are_refused_before_they_happen(text):
    with pytest.raises(FormulaError, match="terms"):
        expand_terms(parse_expression(text), text)
