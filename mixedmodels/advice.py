"""Advice to those who type the names of another program: arguments, attributes, functions, families.

Signatures stay explicit, for people, editors and mypy. `advises` puts a wrapper around a public function, or
around the public methods of a class, that says what is wrong with the arguments of a call before it is made.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

from mixedmodels.deferred import on_first_use
from mixedmodels.errors import (
    ControlError,
    FamilyError,
    MissingArgumentError,
    UnknownArgumentError,
    UnknownNameError,
)

with on_first_use():
    from mixedmodels.foreign import families as their_families
    from mixedmodels.foreign import names as theirs

T = TypeVar("T")
# Share of letters in common above which a name is taken for a slip of the keyboard.
SIMILAR = 0.75
# Parameters that take arguments by position, and those that take whatever is left.
BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def refuse(function: Callable[..., Any], surplus: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
    """Raise where a call has arguments that its function does not have.

    Parameters
    ----------
    function : callable
        The function called.
    surplus : tuple
        Arguments by position beyond those it takes so.
    unknown : mapping
        Arguments by a name it does not have.

    Raises
    ------
    UnknownArgumentError
        Naming the first of them, and what to write.
    """
    if surplus or unknown:
        _refuse(function, surplus, unknown)


def advises(what: T) -> T:
    """Let a function, or the public methods of a class, say what is wrong with the arguments of a call."""
    if not isinstance(what, type):
        return cast(T, _checked(cast(Callable[..., Any], what)))
    for name, member in list(vars(what).items()):
        if isinstance(member, FunctionType) and not name.startswith("_"):
            setattr(what, name, _checked(member))
    return what


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that names arguments that are unknown, missing or given twice."""

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        takes = _taken(function)
        if len(args) > takes.by_place or not (takes.anything or kwargs.keys() <= takes.named):
            unknown = {name: value for name, value in kwargs.items() if name not in takes.named}
            refuse(function, args[takes.by_place :], unknown)
        if len(args) < len(takes.needed):
            _refuse_missing(function, takes.needed[len(args) :], kwargs)
        if kwargs:
            _refuse_twice(function, takes.names[: len(args)], kwargs)
        return function(*args, **kwargs)

    return ask


class _Taken(NamedTuple):
    """What a function takes: how many by position, which names, whether any others, and what it needs."""

    by_place: int
    names: list[str]
    named: set[str]
    anything: bool
    needed: list[inspect.Parameter]


@functools.cache
def _taken(function: Callable[..., Any]) -> _Taken:
    """Return what a function takes, read when it is first called."""
    parameters = inspect.signature(function).parameters.values()
    kinds = [p.kind for p in parameters]
    names = [p.name for p in parameters if p.kind in BY_PLACE]
    return _Taken(
        by_place=sys.maxsize if inspect.Parameter.VAR_POSITIONAL in kinds else len(names),
        names=names,
        named={p.name for p in parameters},
        anything=inspect.Parameter.VAR_KEYWORD in kinds,
        needed=[p for p in parameters if p.default is p.empty and p.kind not in VARIABLE],
    )


def _refuse_missing(
    function: Callable[..., Any], needed: Sequence[inspect.Parameter], given: Mapping[str, Any]
) -> None:
    """Raise MissingArgumentError where a call lacks an argument, with an example that has it."""
    lacks = [p.name for p in needed if p.kind is p.POSITIONAL_ONLY or p.name not in given]
    if lacks:
        how = " by position, without its name" if lacks[0] in given else ""
        raise MissingArgumentError(
            f"{function.__name__}() needs {' and '.join(lacks)}{how}, as in {_example(function)}."
        )


def _refuse_twice(function: Callable[..., Any], names: Sequence[str], given: Mapping[str, Any]) -> None:
    """Raise MissingArgumentError where an argument is given by position and again by name."""
    twice = [name for name in names if name in given]
    if twice:
        raise MissingArgumentError(
            f"{function.__name__}() has {twice[0]} twice, by position and as {twice[0]}=; leave one out."
        )


def _example(function: Callable[..., Any]) -> str:
    """Return a call of a function with all that it needs."""
    name = function.__name__
    needed = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind not in VARIABLE
    ]
    owner = "m." if needed[:1] == ["self"] else ""
    values = {**theirs.EXAMPLE_VALUES, **theirs.EXAMPLE_VALUES_OF.get(name, {})}
    return f"{owner}{name}({', '.join(values.get(n, n) for n in needed if n != 'self')})"


def _refuse(function: Callable[..., Any], surplus: tuple[Any, ...], unknown: Mapping[str, Any]) -> NoReturn:
    name = function.__name__
    known = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "unknown")]
    if unknown:
        first = next(iter(unknown))
        allowed = [p.name for p in known if p.kind not in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY)]
        raise UnknownArgumentError(
            f"{name}() has no argument {first!r}: {_sentence(_about_argument(name, first, allowed))}"
        )
    if name in theirs.LISTS:
        raise UnknownArgumentError(f"{name}() takes {theirs.LISTS[name]}.")
    by_place = [p.name for p in known if p.kind is p.POSITIONAL_OR_KEYWORD]
    others = [p.name for p in known if p.kind is p.KEYWORD_ONLY]
    naming = f"; name what follows, as in {others[0]}=" if others else ""
    taken = f"takes only {', '.join(by_place)} by position" if by_place else "takes no arguments by position"
    further = shown(surplus[0]).removeprefix("a ").removeprefix("an ")
    raise UnknownArgumentError(f"{name}() {taken}, not a further {further}{naming}.")


def _about_argument(function: str, name: str, allowed: list[str]) -> str:
    """Return what to write in place of an argument."""
    key = normalized(name)
    for candidate in allowed:
        if _letters(candidate) == _letters(name):
            return f"it is spelled {candidate}="
    own = theirs.ARGUMENTS.get("glmer" if function == "glmer_nb" else function, {})
    advice = own.get(key) or theirs.ARGUMENTS[""].get(key)
    if advice:
        return advice
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=SIMILAR)
    if near:
        return f"did you mean {near[0]}=?"
    return f"its arguments are {', '.join(allowed)}" if allowed else "it takes none"


def normalized(name: str) -> str:
    """Return a name as the tables of advice spell it."""
    return name.replace(".", "_").strip("_").lower()


def _sentence(advice: str) -> str:
    return advice if advice.endswith("?") else f"{advice}."


def _letters(name: str) -> str:
    return re.sub(r"[._]", "", name).lower()


def shown(value: object) -> str:
    """Return a value as an error shows it: short ones as they are, others by their type."""
    text = repr(value)
    if len(text) <= 40 and "\n" not in text:
        return text
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def unknown_option(name: object, allowed: list[str]) -> ControlError:
    """Return the error for an option that ``control`` does not have."""
    advice = theirs.OPTIONS.get(normalized(str(name)))
    why = "" if advice is None else f": {advice}"
    return ControlError(f"unknown option {name!r} in control{why}; options are {', '.join(allowed)}.")


def unknown_attribute(model: object, name: str) -> UnknownNameError:
    """Return the error for an attribute that a fitted model does not have."""
    kind = type(model).__name__
    message = f"a {kind} has no {name!r}"
    if name.startswith("_"):
        return UnknownNameError(message)
    public = [known for known in dir(type(model)) if not known.startswith("_")]
    if name in theirs.OF_MIXED_MODELS.split():
        return UnknownNameError(f"{message}: {theirs.MIXED_ONLY}.")
    table = {**theirs.ATTRIBUTES, **theirs.ATTRIBUTES_OF.get(kind, {})}
    # Advice that this kind of model cannot follow is about random effects, which it does not have.
    advice = {
        n: a if set(re.findall(r"\bm\.(\w+)", a)) <= set(public) else theirs.MIXED_ONLY
        for n, a in table.items()
    }
    return UnknownNameError(f"{message}: {_sentence(_about_name(name, public, advice, 'm.'))}")


def unknown_in_package(name: str, public: Iterable[str], datasets: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that the package does not have."""
    message = f"mixedmodels has no {name!r}"
    if name in datasets:
        return UnknownNameError(f"{message}: the data are mm.load_dataset({name!r}).")
    return UnknownNameError(f"{message}: {_sentence(_about_name(name, list(public), theirs.PACKAGE, 'mm.'))}")


def _about_name(name: str, public: list[str], table: Mapping[str, str], prefix: str) -> str:
    """Return what to write in place of a name."""
    advice = table.get(normalized(name))
    if advice:
        return advice
    same = [known for known in public if _letters(known) == _letters(name)]
    if same:
        return f"it is spelled {prefix}{same[0]}"
    near = difflib.get_close_matches(name, public, n=1, cutoff=SIMILAR)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return "see help(m) for what it has" if prefix == "m." else "see dir(mm) for what there is"


def unknown_family(name: str, names: tuple[str, ...]) -> FamilyError:
    """Return the error for a family that is not there: what is meant, or what there is in its place."""
    listed = f"Families are {', '.join(names)}."
    called = re.fullmatch(
        r"\s*([\w. -]+?)\s*\((?:\s*(?:link|theta)\s*=)?\s*[\"']?([\w/^.]+)[\"']?\s*\)\s*", name
    )
    key = re.sub(r"[ .-]", "_", called.group(1) if called else name.strip().strip("()")).lower()
    constructor = next((f for f in (n.replace(".", "_") for n in names) if f.lower() == key), None)
    if called and constructor:
        inside = called.group(2)
        argument = inside if inside[0].isdigit() and "/" not in inside else f"link={inside!r}"
        return FamilyError(f"family {name!r} is code in a text: write family=mm.{constructor}({argument}).")
    if key in their_families.LINKS:
        return FamilyError(
            f"{name!r} is a link, not a family: write family=mm.{their_families.LINKS[key]}(link={key!r}), "
            f"or another family with it. {listed}"
        )
    if key in their_families.FAMILY_MEANT:
        return FamilyError(
            f"Unknown family {name!r}: write family={their_families.FAMILY_MEANT[key]!r}. {listed}"
        )
    if key in their_families.FAMILIES:
        return FamilyError(f"The family {name!r} is not available; {their_families.FAMILIES[key]}. {listed}")
    near = difflib.get_close_matches(key, names, n=1, cutoff=SIMILAR)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return FamilyError(f"Unknown family {name!r}.{hint} {listed}")
