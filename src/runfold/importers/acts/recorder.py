"""A story on its way into the ledger: each act as a command, under ids made of its name.

Given again, what is in already adds nothing; what has grown is added.
"""

from collections import defaultdict
from typing import Any, assert_never

from runfold.commands.caller import Envelope
from runfold.errors import InvalidEvent
from runfold.ids import stable_id
from runfold.importers.acts.kinds import (
    Act,
    Asked,
    Began,
    Called,
    CallEnded,
    Chose,
    Compacted,
    Ended,
    ModelCalled,
    Name,
    Reported,
    Said,
    Story,
    Used,
)
from runfold.importers.recording import Recording, SourceRun
from runfold.importers.trials import money

AnyAct = Began | Said | Called | CallEnded | Asked | ModelCalled | Used | Chose | Compacted | Reported | Ended


def thread_id(format: str, key: Name) -> str:
    """The same for the same source, always."""
    return stable_id("thread", format, *key)


def record(story: Story, recording: Recording) -> None:
    """Give all commands of a story."""
    recorder = _Recorder(story, recording)
    recorder.begin()
    for act in story.acts:
        with recording.of(act.place):
            recorder.tell(act)


class _Recorder:
    def __init__(self, story: Story, recording: Recording) -> None:
        self.story = story
        self.recording = recording
        self.source_runs: dict[Name, SourceRun] = {}
        self.before = frozenset(recording.known.home)

        self.same: dict[Name, str] = {}
        """Messages that are in under other names."""
        self.alike: defaultdict[str, list[str]] = defaultdict(list)
        """By what they say: messages that an earlier import brought, and this story does not name."""
        if any(isinstance(act, Said) and act.like for act in story.acts):
            self._gather()

    def _gather(self) -> None:
        named = {self.message_id(act) for act in self.story.acts if isinstance(act, Said)}
        for message_id in self.recording.known.wording:
            prefix, _, rest = message_id.partition("_")
            like, _, ours = rest.partition("_")
            if prefix in {"said", "heard"} and ours and message_id not in named:
                self.alike[like].append(message_id)

    def id(self, prefix: str, name: Name) -> str:
        return stable_id(prefix, self.story.format, *self.story.key, *name)

    def message_id(self, act: Said) -> str:
        if act.like is None:
            return self.id("msg", act.name)
        return f"{'said' if act.heard is None else 'heard'}_{_short(act.like)}_{self.id('', act.name).strip('_')}"

    def _message(self, name: Name | None) -> str | None:
        if name is None:
            return None
        return self.same.get(name) or self.id("msg", name)

    def _is_in(self, act: Said) -> bool:
        """Whether a message without an id of its own is in already, as an earlier import knew it."""
        if act.like is None or self.message_id(act) in self.recording.known.wording:
            return False
        equal = self.alike[_short(act.like)]
        if act.heard is None:
            equal = [message_id for message_id in equal if message_id.startswith("heard_")]
        elif act.heard == "now":
            equal = []
        if not equal:
            return False
        self.same[act.name] = known = equal[0]
        self.alike[_short(act.like)].remove(known)
        return True

    def begin(self) -> None:
        story = self.story
        first: Envelope = _envelope(story.acts[0]) if story.acts else {}
        self.recording.begin(
            agent_id=story.agent,
            title=story.title,
            external_ref=story.external_ref,
            metadata=story.metadata,
            **{**first, "actor": f"service:{story.format}"},
        )

    def tell(self, act: Act) -> None:
        match act:
            case Began():
                self._begin_run(act)
            case Said():
                self._say(act)
            case Called():
                self._call(act)
            case CallEnded():
                self._end_call(act)
            case Asked():
                self._ask(act)
            case ModelCalled():
                self._call_model(act)
            case Used():
                self._use(act)
            case Chose():
                self._choose(act)
            case Compacted():
                self._compact(act)
            case Reported():
                self._report(act)
            case Ended():
                self._end(act)
            case _:
                raise InvalidEvent("", f"a {type(act).__name__} is not an act that can be recorded")

    def _settled(self, item_id: str) -> bool:
        return self.story.settled and item_id in self.before

    def _run(self, act: Act) -> SourceRun:
        if act.run not in self.source_runs:
            raise InvalidEvent("", "belongs to a run that could not be begun; see the problem with that run")
        return self.source_runs[act.run]

    def _begin_run(self, act: Began) -> None:
        request: dict[str, Any] = {"parent": None}
        if act.parent is not None:
            request = {"parent": self.id("run", act.parent), "kind": act.kind}
        elif act.kind == "continues" and self.recording.known.runs:
            request = {}  # it goes on where the thread's head is
        self.source_runs[act.run] = self.recording.source_run(
            self.id("run", act.run),
            agent_id=act.agent,
            metadata=act.metadata,
            **request,
            **({} if act.goal is None else {"goal": act.goal}),
            **_envelope(act),
        )

    def _say(self, act: Said) -> None:
        if self._is_in(act):
            return
        source_run, message_id = self._run(act), self.message_id(act)
        self.same[act.name] = message_id
        wording = self.recording.known.wording.get(message_id)
        parts = self.recording.fitting(act.parts)
        last = parts if act.later is None else self.recording.fitting(act.later)
        if wording not in (parts, last):
            source_run.add_message(
                act.role,
                parts if wording is None else last,
                message_id=message_id,
                tool_call_id=None if act.call is None else self.id("call", act.call),
                author=act.author,
                activity_type=act.activity_type,
                **_envelope(act),
            )
        if last != parts and wording in (None, parts):
            reason, envelope = "the source words it so in the end", _envelope(act)
            envelope["actor"] = f"service:{self.story.format}"
            source_run.run(message_id).message(message_id).revise(last, reason=reason, **envelope)
        self.recording.known.wording[message_id] = last

    def _call(self, act: Called) -> None:
        if self._settled(self.id("call", act.name)):
            return
        self._run(act).call_tool(
            act.tool,
            act.arguments,
            call_id=self.id("call", act.name),
            message_id=self._message(act.message),
            provider_call_id=act.provider_id,
            **_envelope(act),
        )

    def _end_call(self, act: CallEnded) -> None:
        if self._settled(f"end {self.id('call', act.name)}"):
            return
        call = self._run(act).ending(self.id("call", act.name))
        match act.how:
            case "succeeded":
                call.succeed(act.result, **_envelope(act))
            case "failed":
                call.fail(act.reason, code=act.code, result=act.result, **_envelope(act))
            case "cancelled":
                call.cancel(act.reason or None, **_envelope(act))
            case _:
                assert_never(act.how)

    def _ask(self, act: Asked) -> None:
        call_id, approval_id = self.id("call", act.call), self.id("approval", act.name)
        home = self.recording.known.home
        kinds: Any = (act.approver.partition(":")[0],) if act.decision is None else ("human", "service")
        run = self.recording.batch.run(home.get(call_id) or self._run(act).tip.id)
        run.request_approval(
            act.action,
            arguments=act.arguments,
            call_id=call_id,
            reason="tool_call",
            message=act.message,
            decision_id=None if act.decision is None else self.id("dec", act.decision),
            approval_id=approval_id,
            approver_kinds=kinds,
            requester_excluded=None,
            **_envelope(act),
        )
        if act.verdict is None:
            return
        envelope: Envelope = {"actor": act.approver}
        if act.decided_at is not None:
            envelope["occurred_at"] = act.decided_at
        if act.verdict == "deny":
            home.setdefault(f"end {call_id}", run.id)
        changed = None if act.verdict == "deny" else act.changed
        self.recording.batch.approval(approval_id).vote(act.verdict, comment=act.comment, arguments=changed, **envelope)

    def _call_model(self, act: ModelCalled) -> None:
        call_id = self.id("mcall", act.name)
        if act.is_answered is False and self._settled(call_id):
            return
        run = self._run(act).run(call_id)
        started = run.start_model_call(provider=act.provider, request_model=act.model, model_call_id=call_id, **_envelope(act))
        if act.is_answered:
            started.finish(
                response_model=act.response_model,
                finish_reasons=act.finish_reasons,
                ttft_ns=act.ttft_ns,
                error=act.error,
                code=act.code,
                **_envelope(act, act.answered_at),
            )

    def _use(self, act: Used) -> None:
        source_run, usage_id = self._run(act), self.id("usage", act.name)
        what = {"provider": act.provider, "model": act.model, "node_id": act.node}
        source_run.use(
            usage_id,
            **what,
            **act.tokens,
            service_tier=act.service_tier,
            model_call_id=None if act.model_call is None else self.id("mcall", act.model_call),
            raw=act.raw,
            **_envelope(act),
        )
        if act.cost is not None and not (act.cost == 0 and any(act.tokens.values())):  # 0: it knew no price
            source_run.bill(usage_id).report_cost(
                money(act.cost),
                source="local",
                usage_id=usage_id,
                cost_id=self.id("cost", act.name),
                **what,  # type: ignore[arg-type]  # each is a text or None
                **_envelope(act),
            )

    def _choose(self, act: Chose) -> None:
        source_run, decision_id = self._run(act), self.id("dec", act.name)
        source_run.run(decision_id).decide(
            act.intent,
            options=[{"id": name, "description": description} for name, description in act.options],
            chosen=act.chosen,
            decision_type=act.decision_type,
            node_id=act.node,
            reasoning=act.reasoning,
            context=act.context,
            decision_id=decision_id,
            **_envelope(act),
        )
        if act.success is not None:
            judge: Envelope = {**_envelope(act), "actor": act.judge or act.actor}
            source_run.conclude(decision_id, success=act.success, result=act.result, summary=act.summary, **judge)

    def _compact(self, act: Compacted) -> None:
        compaction_id = self.id("compaction", act.name)
        self._run(act).run(compaction_id).compact_context(
            act.trigger,
            tokens_before=act.tokens_before,
            tokens_after=act.tokens_after,
            summary_message_id=self._message(act.summary),
            compaction_id=compaction_id,
            **_envelope(act),
        )

    def _report(self, act: Reported) -> None:
        run = self.recording.batch.run(self._run(act).first_id)
        run.report_problem(act.severity, act.description, problem_id=self.id("prob", act.name), **_envelope(act))

    def _end(self, act: Ended) -> None:
        run = self._run(act).end()
        if run is None:
            return
        match act.how:
            case "completed":
                run.complete(stop_reason=act.stop_reason, **_envelope(act))
            case "failed":
                reason, envelope = act.reason or act.code, _envelope(act)
                run.fail(reason, code=act.code, stop_reason=act.stop_reason, error_type=act.error_type, **envelope)
            case "cancelled":
                run.cancel(act.reason or None, stop_reason=act.stop_reason, **_envelope(act))
            case _:
                assert_never(act.how)


def _short(like: str) -> str:
    return like.removeprefix("sha256:")[:20]


def _envelope(act: Act, at: Any = None) -> Envelope:
    envelope: Envelope = {"actor": act.actor}
    moment = at or act.at
    if moment is not None:
        envelope["occurred_at"] = moment
    if act.traceparent is not None:
        envelope["traceparent"] = act.traceparent
    return envelope
