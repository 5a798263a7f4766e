"""Compactions: where a model's memory was cut, once under an id, while the run goes on."""

import pytest

from runfold.domain.compaction import ContextCompacted

from .samples import CREATED, ENDED, RUNNING, STUCK
from .story import fold, given

compacted = ContextCompacted(
    compaction_id="compaction_1", trigger="auto", tokens_before=155_000, tokens_after=9_000, summary_message_id="msg_1"
)


def test_a_compaction_is_recorded_once_under_its_id() -> None:
    given(*RUNNING).when(lambda run: run.compactions.record(compacted)).then(compacted)
    given(*CREATED).when(lambda run: run.compactions.record(compacted)).then(compacted)
    given(*RUNNING, compacted).when(lambda run: run.compactions.record(compacted)).known("compaction", version=3)


def test_a_run_is_compacted_as_often_as_its_model_needs() -> None:
    again = compacted.model_copy(update={"compaction_id": "compaction_2", "kept_from_message_id": "msg_2"})
    given(*RUNNING, compacted).when(lambda run: run.compactions.record(again)).then(again)


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_run_is_not_compacted(status: str) -> None:
    given(*ENDED[status]).when(lambda run: run.compactions.record(compacted)).refused("an ended run accepts no more work")


def test_a_compaction_is_progress() -> None:
    assert fold(*STUCK, compacted).status == "running"
