"""The names that are Runfold's public face, and its errors."""

import importlib
import pkgutil
import re

import pytest

import runfold
from runfold import errors
from runfold.errors import LedgerError

EXPORTED = {
    "Approval",
    "ApprovalNotFound",
    "CancellationRequested",
    "CommandRefused",
    "Decision",
    "DuplicateWithDifferentContent",
    "HistoryChanged",
    "InvalidEvent",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "Projection",
    "ReadModelBehind",
    "Receipt",
    "Recorded",
    "RemoteLedger",
    "Row",
    "Run",
    "RunNotFound",
    "Settings",
    "Submitted",
    "Subscription",
    "Thread",
    "ThreadNotFound",
    "VersionConflict",
}

_IN_TREE = re.compile(r"^([│ ]*)[├└]── (\w+)(?: +exit (\d))?", re.MULTILINE)


def test_exported_names_are_exactly_these() -> None:
    assert set(runfold.__all__) == EXPORTED
    assert list(runfold.__all__) == sorted(runfold.__all__)
    modules = {module.name for module in pkgutil.iter_modules(runfold.__path__)}
    public = {name for name in dir(runfold) if not name.startswith("_")}
    assert public - modules - {"TYPE_CHECKING"} == EXPORTED


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_an_exported_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(runfold, name).__doc__


def _all_errors(kind: type[LedgerError] = LedgerError) -> set[type[LedgerError]]:
    return {kind}.union(*(_all_errors(child) for child in kind.__subclasses__()))


@pytest.fixture(scope="module")
def all_errors() -> set[type[LedgerError]]:
    """Every error class of every module."""
    for module in pkgutil.walk_packages(runfold.__path__, "runfold."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {error for error in _all_errors() if error.__module__.startswith("runfold.")}


def _tree() -> dict[str, tuple[str, int | None]]:
    """Each error in the drawn tree: its parent, and the exit code written beside it."""
    parents = ["LedgerError"]
    drawn: dict[str, tuple[str, int | None]] = {}
    for indent, name, code in _IN_TREE.findall(errors.__doc__ or ""):
        depth = len(indent) // 4
        parents[depth + 1 :] = [name]
        drawn[name] = (parents[depth], int(code) if code else None)
    return drawn


def test_every_error_is_in_the_tree_where_it_belongs(all_errors: set[type[LedgerError]]) -> None:
    drawn = {name: parent for name, (parent, _) in _tree().items()}
    assert drawn == {error.__name__: error.__mro__[1].__name__ for error in all_errors - {LedgerError}}


def test_every_error_has_the_exit_code_that_the_tree_says(all_errors: set[type[LedgerError]]) -> None:
    drawn = _tree()
    for error in all_errors - {LedgerError}:
        parent, code = drawn[error.__name__]
        assert error.exit_code == (code or getattr(errors, parent).exit_code), error
        assert error.exit_code in {1, 2, 3, 4, 5}


def test_every_error_says_what_it_means_and_lives_in_one_place(all_errors: set[type[LedgerError]]) -> None:
    for error in all_errors:
        assert error.__module__ == "runfold.errors", error
        assert vars(error).get("__doc__"), error
        assert not error.__name__.endswith("Error") or error.__name__ in {"LedgerError", "UsageError"}
