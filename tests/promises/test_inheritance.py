"""What a class is stands in one place: no class is put together of several of ours, and few kinds have others below them."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from pydantic import BaseModel

import runfold
from runfold.api.route import Route
from runfold.domain.recorded import Recorded
from runfold.export.formats import Writer
from runfold.handles.calling.handle import Handle
from runfold.importers.acts.kinds import Act
from runfold.projections.projection import Projection
from runfold.store.reading.reader import Reader

FAMILIES = (BaseModel, BaseException, Projection, Handle, Route, Reader, Recorded, Writer, Act, uvicorn.Server)
"""Events, rows and views are pydantic's models; whatever else has kinds of itself is named here."""


def classes() -> Iterator[type[Any]]:
    """All classes of the package, each once."""
    for module in pkgutil.walk_packages(runfold.__path__, "runfold."):
        if not module.name.endswith("__main__"):
            found = vars(importlib.import_module(module.name)).values()
            yield from (each for each in found if inspect.isclass(each) and each.__module__ == module.name)


def bases(kind: type[Any]) -> list[type[Any]]:
    """Those bases of a class that are ours and hold more than the types of what is asked for."""
    ours = [base for base in kind.__bases__ if base.__module__.partition(".")[0] == kind.__module__.partition(".")[0]]
    return [base for base in ours if not (getattr(base, "_is_protocol", False) or typing.is_typeddict(base))]


def test_no_class_is_put_together_of_several_of_ours() -> None:
    every = list(classes())
    assert len(every) > 400
    assert [kind for kind in every if len(bases(kind)) > 1] == []


def test_only_families_that_are_named_here_have_classes_below_them() -> None:
    assert [kind for kind in classes() if bases(kind) and not issubclass(kind, FAMILIES)] == []


def test_a_mixin_is_found() -> None:
    class Left: ...

    class Right: ...

    class Both(Left, Right): ...

    assert bases(Both) == [Left, Right]
    assert not issubclass(Both, FAMILIES)


@pytest.mark.parametrize("kind", [each for each in classes() if issubclass(each, Handle)], ids=lambda kind: kind.__name__)
def test_a_handle_has_each_method_from_one_class(kind: type[Handle]) -> None:
    own = {name for name, method in vars(kind).items() if inspect.isfunction(method) and not name.startswith("_")}
    above = {name for base in kind.__mro__[1:] for name in vars(base) if not name.startswith("_")}
    assert own & above <= {"at"}, "the owner's ledger has one more argument there"
