"""All kinds of faults mixed: a round of the soak, and that its plan follows from its seed."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from faults.run import run
from faults.servers import OwnServer
from faults.soak import ACTS, plan


def test_what_a_round_does_follows_from_the_seed_and_its_number_alone() -> None:
    assert plan("7:J11", 3) == plan("7:J11", 3)
    assert plan("7:J11", 3) != plan("7:J11", 4)
    assert plan("7:J11", 3) != plan("8:J11", 3)
    for number in range(20):
        steps = plan("7:J11", number)
        assert {step.kind for step in steps} == set(ACTS)
        assert all(0 < step.pause < 3 and 0 <= step.dice <= 1 for step in steps)
    assert len(plan("7:J11", 0, short=True)) == len(ACTS)


@pytest.mark.paired
@pytest.mark.timeout(900)  # it is over in a minute, where nobody else is at work
@pytest.mark.fault("J11")
def test_a_round_of_all_faults_mixed_leaves_nothing_lost_and_every_read_model_the_fold(
    own_server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNFOLD_SOAK_LOG", str(tmp_path / "soak.log"))
    asked = Namespace(rows=["J11"], seed=20_261_128, events=0, short=True, raise_errors=True, minutes=0.01, round=2)
    (figures,) = run(asked, own_server)
    assert figures.failures == []
    assert figures.wrong == 0, figures.examples
    assert figures.acknowledged > 100
    assert figures.measured["faults"] == len(ACTS) == sum(figures.measured[kind] for kind in ACTS)
    assert figures.measured["events streamed"] > 0
    noted = [json.loads(line) for line in (tmp_path / "soak.log").read_text().splitlines()]
    assert [line["kind"] for line in noted if "kind" in line] == [step.kind for step in plan("20261128:J11", 2, short=True)]
