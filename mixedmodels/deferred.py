"""Modules and methods that are read when first used: most programs use little of what a model can do."""

from __future__ import annotations

import importlib.abc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])

#: What the import system asks of a module that has not run yet.
_KNOWN_BEFORE = frozenset({"__class__", "__file__", "__loader__", "__name__", "__package__", "__spec__"})


@contextmanager
def on_first_use() -> Iterator[None]:
    """Defer the modules of this package that are imported inside: each runs when something of it is used.

    Only modules can be deferred, ``from mixedmodels.inference import anova``: what is imported from a module
    by its name is used at once.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def first_used(function: Callable[[], Method]) -> Method:
    """Return a method that is a function of a deferred module: ``first_used(lambda: means.emmeans)``."""
    return cast(Method, _Method(function))


class _Method:
    """A function found when it is asked for as a method."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __get__(self, instance: object, owner: type) -> Any:
        return self._function().__get__(instance, owner)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the other finders find, and has it run later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module of this package; packages run at once, they hold other modules."""
        if not fullname.startswith("mixedmodels."):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and spec.submodule_search_locations is None:
                    spec.loader = spec.loader_state = _Loader(spec.loader)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Leaves a module as it is until something of it is used."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader
        self.lock = threading.RLock()
        self.is_running = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module, empty."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Wait for the first use."""
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self.loader
        module.__class__ = _Deferred

    def run(self, module: ModuleType) -> None:
        """Run a module, once; other threads wait until it has run.

        Imports go one way and never in a circle, so that no two threads wait for each other.
        """
        with self.lock:
            if module.__class__ is not _Deferred or self.is_running:
                return
            self.is_running = True
            try:
                self.loader.exec_module(module)
            finally:
                self.is_running = False
            object.__setattr__(module, "__class__", ModuleType)


class _Deferred(ModuleType):
    """A module that runs when anything of it is asked for."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _KNOWN_BEFORE:
            ModuleType.__getattribute__(self, "__spec__").loader_state.run(self)
        return ModuleType.__getattribute__(self, name)
