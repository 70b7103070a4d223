"""Modules and methods that are read when first used: most programs use little of what a model can do."""

from __future__ import annotations

import importlib.abc
import os
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
    """Has the files of a package run later, and looked for as others are only then."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of this package is; None for packages, which hold others and run at once."""
        if not fullname.startswith("mixedmodels."):
            return None
        folders = path or ()
        for folder in folders:
            file = os.path.join(folder, f"{fullname.rpartition('.')[2]}.py")
            if os.path.isfile(file):
                return ModuleSpec(fullname, _Loader(folders), origin=file)
        if any(map(os.path.isdir, folders)):
            return None
        # Of archives and installations in place, other finders know.
        found = _spec_of_others(fullname, folders)
        is_module = found is not None and found.submodule_search_locations is None
        return ModuleSpec(fullname, _Loader(folders), origin=found.origin) if found and is_module else None


class _Loader(importlib.abc.Loader):
    """Leaves a module as it is until something of it is used.

    Parameters
    ----------
    path : sequence of str
        Where its package is looked for.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.is_running = False

    def exec_module(self, module: ModuleType) -> None:
        """Wait for the first use."""
        assert module.__spec__ is not None
        module.__file__, module.__spec__.loader_state = module.__spec__.origin, self
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
                self._load(module)
            finally:
                self.is_running = False
            object.__setattr__(module, "__class__", ModuleType)

    def _load(self, module: ModuleType) -> None:
        """Load a module as Python would have."""
        found = _spec_of_others(module.__name__, self.path)
        if found is None:
            raise ModuleNotFoundError(f"{module.__file__} is gone", name=module.__name__)
        found.loader_state = self
        module.__spec__, module.__loader__ = found, found.loader
        assert found.loader is not None
        found.loader.exec_module(module)


def _spec_of_others(fullname: str, path: Sequence[str]) -> ModuleSpec | None:
    """Return how Python's finders, and those of tools that look into imports, load a module."""
    for finder in sys.meta_path:
        spec = None if isinstance(finder, _Finder) else finder.find_spec(fullname, path)
        if spec is not None:
            return spec
    return None


class _Deferred(ModuleType):
    """A module that runs when anything of it is asked for."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _KNOWN_BEFORE:
            ModuleType.__getattribute__(self, "__spec__").loader_state.run(self)
        return ModuleType.__getattribute__(self, name)
