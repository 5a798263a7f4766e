"""The formats that can be imported, one file each: it is named as the format is, and its `FORMAT` says how it is read."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from runfold.errors import UsageError

if TYPE_CHECKING:
    from runfold.importers.format import Format


def names() -> list[str]:
    """The formats by the names that they have on the command line. None is loaded for that."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def named(name: str) -> "Format":
    """A format by its name. Raises UsageError."""
    if name not in names():
        raise UsageError(f"unknown format {name[:40]!r}; expected one of {', '.join(names())}")
    found: Format = import_module(f"{__name__}.{name.replace('-', '_')}").FORMAT
    return found
