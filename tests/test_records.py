"""Records are the standard library's dataclasses, made faster: both are asked the same."""

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import ClassVar, Generic, TypeVar

import numpy as np
import pytest

from mixedmodels.records import dataclass as fast

T = TypeVar("T")
KINDS = {"fast": fast, "standard": dataclasses.dataclass}


def _classes(dataclass):
    @dataclass(frozen=True, slots=True)
    class Point(Generic[T]):
        """A point."""

        x: T
        y: float = 2.0
        tags: dict = field(default_factory=dict, compare=False, repr=False)
        scale: ClassVar[int] = 3

        @property
        def size(self):
            return self.x + self.y

    @dataclass(frozen=True, slots=True)
    class Deep(Point):
        z: int = 5

        def __post_init__(self):
            if self.z < 0:
                raise ValueError("z")

    @dataclass(slots=True)
    class Open:
        values: list = field(default_factory=list)
        count: int = 0

    @dataclass(frozen=True, slots=True, eq=False)
    class Plain:
        x: int

    @dataclass(frozen=True, slots=True, repr=False)
    class Quiet:
        x: int

        def __repr__(self):
            return "quiet"

    @dataclass(frozen=True, slots=True)
    class Kept:
        x: int
        y: int = field(default=1, kw_only=True)

    return {c.__name__: c for c in (Point, Deep, Open, Plain, Quiet, Kept)}


FAST, STANDARD = _classes(fast), _classes(dataclasses.dataclass)

#: What is asked of both kinds; exceptions are answers too.
QUESTIONS = {
    "text": lambda c: repr(c["Point"](1)).split(".")[-1],
    "text of a subclass": lambda c: repr(c["Deep"](1, z=4)).split(".")[-1],
    "own text": lambda c: repr(c["Quiet"](1)),
    "equal": lambda c: (c["Point"](1) == c["Point"](1, tags={"a": 1}), c["Point"](1) == c["Deep"](1)),
    "not equal": lambda c: (c["Plain"](1) == c["Plain"](1), c["Point"](1) == c["Point"](2)),
    "hash": lambda c: len({c["Point"](1), c["Point"](1), c["Point"](2), c["Deep"](1)}),
    "hash of identity": lambda c: len({c["Plain"](1), c["Plain"](1)}),
    "no hash": lambda c: hash(c["Open"]()),
    "set": lambda c: setattr(c["Point"](1), "x", 2),
    "delete": lambda c: delattr(c["Point"](1), "x"),
    "set in an open one": lambda c: setattr(c["Open"](), "count", 2),
    "missing": lambda c: c["Point"](),
    "too many": lambda c: c["Point"](1, 2, 3, 4),
    "checked": lambda c: c["Deep"](1, z=-1),
    "replaced": lambda c: dataclasses.replace(c["Deep"](1), z=7).z,
    "replaced by nothing known": lambda c: dataclasses.replace(c["Deep"](1), w=7),
    "fields": lambda c: [(f.name, f.compare, f.repr) for f in dataclasses.fields(c["Deep"])],
    "as a dict": lambda c: dataclasses.asdict(c["Deep"](1)),
    "matched": lambda c: (c["Point"].__match_args__, c["Deep"].__match_args__),
    "signature": lambda c: str(inspect.signature(c["Deep"])).replace("<factory>", "MISSING"),
    "slots": lambda c: (c["Point"].__slots__, c["Deep"].__slots__, hasattr(c["Deep"](1), "__dict__")),
    "class variable": lambda c: c["Point"].scale + c["Point"](1).scale,
    "property": lambda c: c["Deep"](4).size,
    "keyword only": lambda c: (c["Kept"](1, y=2).y, len(inspect.signature(c["Kept"]).parameters)),
    "fresh defaults": lambda c: c["Open"]().values is c["Open"]().values,
    "copied": lambda c: copy.copy(c["Deep"](1)) == c["Deep"](1) == copy.deepcopy(c["Deep"](1)),
    "documented": lambda c: c["Point"].__doc__,
    "named": lambda c: (c["Deep"].__name__, c["Deep"].__module__),
    "is one": lambda c: dataclasses.is_dataclass(c["Deep"]) and dataclasses.is_dataclass(c["Open"]()),
}  # fmt: skip


def _answer(question, classes):
    try:
        return question(classes)
    except Exception as error:
        return type(error), str(error).split("__init__")[-1]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_record_answers_as_a_dataclass(name):
    if name == "signature":
        fast, standard = (str(inspect.signature(c["Deep"])) for c in (FAST, STANDARD))
        assert fast.split("tags")[0] == standard.split("tags")[0]
        return
    assert _answer(QUESTIONS[name], FAST) == _answer(QUESTIONS[name], STANDARD)


@fast(frozen=True, slots=True)
class Stored:
    """At the top of a module, as pickles need."""

    x: np.ndarray
    y: int = 3


def test_pickles_come_back():
    found = pickle.loads(pickle.dumps(Stored(np.arange(3.0))))
    assert found.x.tolist() == [0.0, 1.0, 2.0] and found.y == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.y = 4


def test_a_standard_dataclass_may_inherit():
    @dataclasses.dataclass(frozen=True)
    class Below(Stored):
        z: int = 1

    assert Below(np.zeros(1), 2, 3).z == 3
    with pytest.raises(TypeError, match="frozen"):
        dataclasses.dataclass(type("Open", (Stored,), {"__annotations__": {"z": int}, "z": 1}))


def test_a_subclass_calls_the_init_before_anyone_made_a_record():
    @fast(frozen=True, slots=True)
    class Base:
        x: int

    class Derived(Base):
        def __init__(self):
            super().__init__(7)

    assert Derived().x == 7
