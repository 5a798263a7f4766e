"""Checks: what `doctor` checked, and the damage that `check` and `restore` found."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from runfold.terminal.console import print_whole
from runfold.terminal.tables import table
from runfold.terminal.text import counted, shown

if TYPE_CHECKING:
    from runfold.maintenance.checking import Finding


class CheckResult(Protocol):
    """One check of `doctor`."""

    @property
    def about(self) -> str:
        """What was checked."""

    @property
    def state(self) -> str:
        """One of ok, wrong and note."""

    @property
    def fact(self) -> str:
        """What the check found."""

    @property
    def next_step(self) -> str | None:
        """What to do about it."""


_MARKS = {"ok": ("ok", "green"), "wrong": ("WRONG", "bold red"), "note": ("note", "yellow")}


def print_checks(out: Console, settings: Mapping[str, Any], checks: Iterable[CheckResult]) -> None:
    """Print the settings, and each check with what to do where something is wrong."""
    rows = [(name, "" if value is None else value) for name, value in settings.items()]
    print_whole(out, table(("setting", "value"), rows, wraps="value"))
    out.print()
    for check in checks:
        mark, style = _MARKS[check.state]
        out.print(shown(f"{mark:<6}", style), shown(f"{check.about:<18}", "bold"), shown(check.fact), soft_wrap=True)
        if check.next_step:
            out.print(shown(f"{'':<26}{check.next_step}", "dim"), soft_wrap=True)


def print_findings(out: Console, findings: "Iterable[Finding]", *, more: int = 0) -> None:
    """Print each damage with what to do about it, and how many more there are."""
    for finding in findings:
        out.print(shown(f"{finding.kind}: {finding.fact}", "red"), soft_wrap=True)
        out.print(shown(f"    {finding.next_step}", "dim"), soft_wrap=True)
    if more:
        out.print(f"… and {more:,} more", style="red")


def verdict(damages: int) -> str:
    """Say how much damage was found."""
    return counted(damages, "damage") if damages else "no damage"
