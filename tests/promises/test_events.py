"""What every event type keeps to: a permanent name, a sentence, a schema; and it comes back from the log as it went in."""

import re

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runfold.domain.catalogue import event_types
from runfold.domain.event import Event
from runfold.domain.values import same
from runfold.store.codec import Limits, encode

from .any_event import any_of

TYPES = {
    "approval.consumed": 1,
    "approval.denied": 1,
    "approval.expired": 1,
    "approval.granted": 1,
    "approval.requested": 1,
    "approval.vote_cast": 1,
    "approval.vote_refused": 1,
    "approval.withdrawn": 1,
    "callback.abandoned": 1,
    "callback.delivered": 1,
    "constraint.violated": 1,
    "context.compacted": 1,
    "decision.evaluated": 1,
    "decision.made": 1,
    "decision.outcome_corrected": 1,
    "decision.outcome_recorded": 1,
    "message.added": 1,
    "message.part_appended": 1,
    "message.redacted": 1,
    "message.revised": 1,
    "message.sealed": 1,
    "model_call.finished": 1,
    "model_call.started": 1,
    "node.edge_traversed": 1,
    "node.entered": 1,
    "problem.reported": 1,
    "problem.resolved": 1,
    "run.cancellation_requested": 1,
    "run.cancelled": 1,
    "run.claimed": 1,
    "run.completed": 1,
    "run.created": 1,
    "run.failed": 1,
    "run.lease_renewed": 1,
    "run.linked": 1,
    "run.metadata_merged": 1,
    "run.output_recorded": 1,
    "run.released": 1,
    "run.resumed": 1,
    "run.started": 1,
    "run.stuck": 1,
    "run.timing_recorded": 1,
    "run.waiting": 1,
    "security.access_denied": 1,
    "security.bundle_made": 1,
    "security.key_created": 1,
    "security.key_revoked": 1,
    "security.loss_accepted": 1,
    "state.patched": 1,
    "state.snapshot_taken": 1,
    "step.finished": 1,
    "step.started": 1,
    "thread.archived": 1,
    "thread.created": 1,
    "thread.deleted": 1,
    "thread.head_moved": 1,
    "thread.head_named": 1,
    "thread.imported": 1,
    "thread.renamed": 1,
    "thread.restored": 1,
    "thread.superseded": 1,
    "tool.arguments_appended": 1,
    "tool.called": 1,
    "tool.cancelled": 1,
    "tool.failed": 1,
    "tool.started": 1,
    "tool.succeeded": 1,
    "usage.corrected": 1,
    "usage.cost_reported": 1,
    "usage.recorded": 2,
    "webhook.created": 1,
    "webhook.deleted": 1,
    "webhook.disabled": 1,
    "webhook.enabled": 1,
    "webhook.replayed": 1,
    "webhook.secret_rotated": 1,
    "webhook.tested": 1,
}
"""Names are permanent: what is stored under one is read under it for ever."""

DESIGNED = {
    "ThreadCreated",
    "ThreadRenamed",
    "ThreadArchived",
    "ThreadRestored",
    "ThreadDeleted",
    "HeadNamed",
    "HeadMoved",
    "ThreadImported",
    "ThreadSuperseded",
    "CallbackAbandoned",
    "CallbackDelivered",
    "WebhookCreated",
    "WebhookDeleted",
    "WebhookDisabled",
    "WebhookEnabled",
    "WebhookReplayed",
    "WebhookSecretRotated",
    "WebhookTested",
    "RunCreated",
    "RunClaimed",
    "RunLeaseRenewed",
    "RunReleased",
    "RunStarted",
    "RunWaiting",
    "RunResumed",
    "RunStuck",
    "RunCancellationRequested",
    "RunCompleted",
    "RunFailed",
    "RunCancelled",
    "RunLinked",
    "RunMetadataMerged",
    "RunOutputRecorded",
    "RunTimingRecorded",
    "MessageAdded",
    "MessageRevised",
    "MessagePartAppended",
    "MessageSealed",
    "MessageRedacted",
    "StepStarted",
    "StepFinished",
    "ModelCallStarted",
    "ModelCallFinished",
    "ContextCompacted",
    "UsageRecorded",
    "UsageCorrected",
    "CostReported",
    "ToolCalled",
    "ToolArgumentsAppended",
    "ToolStarted",
    "ToolSucceeded",
    "ToolFailed",
    "ToolCancelled",
    "DecisionMade",
    "OutcomeRecorded",
    "OutcomeCorrected",
    "DecisionEvaluated",
    "ProblemReported",
    "ProblemResolved",
    "ConstraintViolated",
    "NodeEntered",
    "EdgeTraversed",
    "StateSnapshotTaken",
    "StatePatched",
    "ApprovalRequested",
    "ApprovalVoteCast",
    "ApprovalVoteRefused",
    "ApprovalGranted",
    "ApprovalDenied",
    "ApprovalExpired",
    "ApprovalWithdrawn",
    "ApprovalConsumed",
    "KeyCreated",
    "KeyRevoked",
    "AccessDenied",
    "LossAccepted",
    "BundleMade",
}
"""Every event that the design names of the streams that there are."""

NO_LIMITS = Limits(2**30, 2**30)
EVERY_EVENT = pytest.mark.parametrize("event_class", event_types.all().values(), ids=lambda event_class: event_class.type)


def test_no_event_type_is_renamed_or_lost() -> None:
    assert {name: event_class.schema_version for name, event_class in event_types.all().items()} == TYPES


def test_every_designed_event_is_there() -> None:
    assert sorted(event_class.__name__ for event_class in event_types.all().values()) == sorted(DESIGNED)


@EVERY_EVENT
def test_a_type_is_a_noun_and_what_became_of_it_in_the_words_of_its_class(event_class: type[Event]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", event_class.type)
    participle = re.split(r"[._]", event_class.type)[-1]
    assert participle.endswith("ed") or participle in {"cast", "made", "stuck", "taken", "waiting", "withdrawn"}
    assert re.sub(r"[._]", "", event_class.type).endswith(event_class.__name__.lower())


@EVERY_EVENT
def test_an_event_says_in_a_sentence_what_happened(event_class: type[Event]) -> None:
    first_line = (vars(event_class)["__doc__"] or "").split("\n")[0]
    assert re.match(r"[A-Z].*[.]", first_line), first_line


@EVERY_EVENT
def test_an_event_is_frozen_and_takes_no_unknown_field(event_class: type[Event]) -> None:
    config = event_class.model_config
    assert (config["frozen"], config["extra"], config["strict"], config["allow_inf_nan"]) == (True, "forbid", True, False)


@EVERY_EVENT
def test_an_event_comes_back_as_it_went_in_and_fits_its_schema(event_class: type[Event]) -> None:
    schema = Draft202012Validator(event_class.model_json_schema(mode="serialization"))

    @settings(derandomize=True, deadline=None, database=None, max_examples=20, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def round_trip(data: st.DataObject) -> None:
        event = data.draw(any_of(event_class))
        stored = encode(event, NO_LIMITS)
        back = event_types.read(event.type, event.schema_version, stored)
        assert back == event
        assert same(back, event)
        assert encode(back, NO_LIMITS) == stored
        schema.validate(orjson.loads(stored))

    round_trip()


@EVERY_EVENT
def test_an_event_with_nothing_but_what_it_must_have_comes_back_too(event_class: type[Event]) -> None:
    @settings(derandomize=True, deadline=None, database=None, max_examples=3, suppress_health_check=list(HealthCheck))
    @given(any_of(event_class, bare=True))
    def round_trip(event: Event) -> None:
        assert event_types.read(event.type, event.schema_version, encode(event, NO_LIMITS)) == event

    round_trip()
