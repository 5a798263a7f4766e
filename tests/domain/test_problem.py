"""Problems: reported, resolved; and constraints that were broken."""

from typing import get_args

import pytest

from runfold.domain.problem import ConstraintViolated, ProblemResolved, Severity

from .samples import RUNNING, problem
from .story import given

resolved = ProblemResolved(problem_id="prob_1", resolution="indexed again")


@pytest.mark.row("HV-10")
def test_a_problem_is_critical_a_warning_or_minor() -> None:
    assert get_args(Severity) == ("critical", "warning", "minor")


def test_a_problem_is_reported_once_under_an_id() -> None:
    given(*RUNNING).when(lambda run: run.problems.report(problem)).then(problem)
    given(*RUNNING, problem).when(lambda run: run.problems.report(problem)).known("problem", version=3)


def test_a_reported_problem_is_resolved_once() -> None:
    given(*RUNNING, problem).when(lambda run: run.problems.resolve("prob_1", "indexed again")).then(resolved)
    given(*RUNNING, problem, resolved).when(lambda run: run.problems.resolve("prob_1", "twice")).then()
    given(*RUNNING).when(lambda run: run.problems.resolve("prob_1", "?")).refused("this run has no problem 'prob_1'")


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_broken_constraint_is_recorded_each_time(kind: str) -> None:
    violated = ConstraintViolated.model_validate({"constraint_id": "budget", "kind": kind, "description": "spent 3 of 2 EUR"})
    given(*RUNNING).when(lambda run: run.problems.violate(violated)).then(violated)
    given(*RUNNING, violated).when(lambda run: run.problems.violate(violated)).then(violated)
