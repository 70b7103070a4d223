"""Dataclasses whose methods are written when they are first needed.

The standard library compiles half a dozen methods for every dataclass while a module is imported; a first fit
imports some hundred and fifty of them, and half of its time went there. Here a class has its slots at once,
and its ``__init__`` when the first record is made; comparison, hash and text are the same few functions for
all. To everyone else such a class is a dataclass: ``fields()``, ``replace()``, ``match``, ``copy`` and
pickles know no difference.
"""

from __future__ import annotations

import dataclasses
import inspect
import reprlib
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class _Frozen:
    """A frozen dataclass, which shows what the standard library notes about one."""

    field: int


@dataclasses.dataclass(eq=False, repr=False)
class _Open:
    """The same that may be changed."""

    field: int


#: Those notes, of which a dataclass that inherits reads whether its base is frozen.
_NOTES: dict[bool, Any] = {kind is _Frozen: vars(kind)["__dataclass_params__"] for kind in (_Frozen, _Open)}
#: What tells a field of a record from a class variable.
_IS_FIELD = getattr(dataclasses.fields(_Frozen)[0], "_field_type")  # noqa: B009 (as above)


def _dataclass(*, frozen: bool = False, slots: bool = False, eq: bool = True, repr: bool = True) -> Any:
    """Return the decorator; arguments as for the standard library's."""
    standard = dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, repr=repr)

    def decorate(cls: type) -> type:
        fields = _own_fields(cls) if slots else None
        return standard(cls) if fields is None else _record(cls, fields, frozen, eq, repr)

    return decorate


def _own_fields(cls: type) -> list[Any] | None:
    """Return the fields that a class adds to those of its bases; None where the standard way is needed."""
    found = []
    for name, annotation in inspect.get_annotations(cls).items():
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        if "InitVar" in text or "KW_ONLY" in text:
            return None
        if text.startswith(("ClassVar", "typing.ClassVar")):
            continue
        given = vars(cls).get(name, MISSING)
        field = given if isinstance(given, dataclasses.Field) else dataclasses.field(default=given)
        if field.kw_only is True or isinstance(given, (list, dict, set)):
            return None
        field.name, field.type, field.kw_only = name, annotation, False
        setattr(field, "_field_type", _IS_FIELD)  # noqa: B010 (no attribute the types know of)
        found.append(field)
    return found


def _record(cls: type, own: list[Any], frozen: bool, eq: bool, repr: bool) -> type:
    """Return a class with slots in place of `cls`."""
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(getattr(base, "__dataclass_fields__", {}))
    inherited = {name for base in cls.__mro__[1:-1] for name in _slots_of(base)}
    fields.update({field.name: field for field in own})
    names = tuple(fields)
    content = {k: v for k, v in vars(cls).items() if k not in names and k not in ("__dict__", "__weakref__")}
    content["__slots__"] = tuple(field.name for field in own if field.name not in inherited)
    content["__dataclass_fields__"], content["__dataclass_params__"] = fields, _NOTES[frozen]
    content["__init__"] = vars(cls).get("__init__", _Init())
    content.setdefault("__match_args__", tuple(name for name in names if fields[name].init))
    if repr:
        content.setdefault("__repr__", _text_of(tuple(name for name in names if fields[name].repr)))
    if eq:
        values = _values_of(tuple(name for name in names if fields[name].compare))
        content.setdefault("__eq__", _equal_by(values))
        # A class that defines __eq__ has __hash__ = None beside it.
        if content.get("__hash__") is None:
            content["__hash__"] = _hash_by(values) if frozen else None
    if frozen:
        content.setdefault("__getstate__", _state_by(names))
        content.setdefault("__setstate__", _restored_by(names))
    made: type = type(cls)(cls.__name__, cls.__bases__, content)
    made.__qualname__ = cls.__qualname__
    if frozen:
        made.__setattr__, made.__delattr__ = _refusals(made, frozenset(names))  # type: ignore[method-assign]
    return made


def _slots_of(base: type) -> tuple[str, ...]:
    """Return the slots of a class."""
    slots = vars(base).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


class _Init:
    """``__init__`` of a record, which writes itself when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner = owner

    def __get__(self, instance: object, owner: type) -> Any:
        own = self.owner
        written = _written_init(own)
        own.__init__ = written  # type: ignore[misc]
        return written if instance is None else written.__get__(instance, owner)


def _written_init(cls: Any) -> Callable[..., None]:
    """Return a function that sets the slots, one after the other."""
    names: dict[str, Any] = {"MISSING": MISSING}
    arguments, lines = [], []
    for name, field in cls.__dataclass_fields__.items():
        names[f"set_{name}"] = getattr(cls, name).__set__
        value = name
        if field.default_factory is not MISSING:
            names[f"make_{name}"] = field.default_factory
            value = f"make_{name}()" if not field.init else f"make_{name}() if {name} is MISSING else {name}"
            arguments += [f"{name}=MISSING"] * field.init
        elif field.default is not MISSING:
            names[f"default_{name}"] = field.default
            value = name if field.init else f"default_{name}"
            arguments += [f"{name}=default_{name}"] * field.init
        elif not field.init:
            continue
        else:
            arguments.append(name)
        lines.append(f"  set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("  self.__post_init__()")
    text = f"def __init__({', '.join(['self', *arguments])}):\n" + "\n".join(lines or ["  pass"])
    exec(text, names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__, init.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    given = {name: field.type for name, field in cls.__dataclass_fields__.items() if field.init}
    init.__annotations__ = {**given, "return": None}
    return init


def _values_of(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return the function that gives the values of some fields as one thing to compare."""
    return attrgetter(*names) if names else (lambda _: ())


def _equal_by(values: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def __eq__(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return (values(self),) == (values(other),)

    return __eq__


def _hash_by(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash((values(self),))

    return __hash__


def _text_of(names: tuple[str, ...]) -> Callable[[Any], str]:
    @reprlib.recursive_repr()
    def __repr__(self: Any) -> str:
        return (
            f"{self.__class__.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
        )

    return __repr__


def _state_by(names: tuple[str, ...]) -> Callable[[Any], list[Any]]:
    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    return __getstate__


def _restored_by(names: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def __setstate__(self: Any, state: Any) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__


def _refusals(cls: type, names: frozenset[str]) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return what setting and deleting attributes of a frozen record do."""

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    return __setattr__, __delattr__


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass
