"""What a run says and does: messages, tool calls, decisions, problems, usage, steps, state, requests for approval."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, Unpack

from runfold.commands.caller import Envelope
from runfold.commands.json_schema import require_schema
from runfold.commands.plan import Plan, itself
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt
from runfold.domain.approval import Approval as ApprovalState
from runfold.domain.approval_events import ONLY_PEOPLE, ApprovalRequested, ApprovalRule, Choice
from runfold.domain.decision import DecisionMade, DecisionType, Option
from runfold.domain.durations import duration
from runfold.domain.event import Event
from runfold.domain.message import MessageAdded, Role
from runfold.domain.problem import ConstraintViolated, ProblemReported, Severity
from runfold.domain.run import Run as RunState
from runfold.domain.step import EdgeTraversed, ModelCallStarted, StepStarted
from runfold.domain.tool_call import Failure, ToolCalled, ToolFailed
from runfold.domain.usage import CostReported, Tokens, UsageRecorded
from runfold.domain.values import Actor, ActorKind, ApprovalId, digest
from runfold.handles.approval import Approval
from runfold.handles.arguments import Content, arguments_of, checked_id, content_parts
from runfold.handles.command import command, submitting
from runfold.handles.decision import Decision, Problem
from runfold.handles.handle import Child
from runfold.handles.life import Life
from runfold.handles.message import Message
from runfold.handles.step import ModelCall, Step
from runfold.handles.tool_call import ToolCall
from runfold.handles.usage import Usage

T = TypeVar("T")
C = TypeVar("C", bound=Child)


class Recording(Life):
    """What is recorded inside a run's stream."""

    @command
    def add_message(
        self,
        role: Role,
        content: Content = "",
        *,
        message_id: str | None = None,
        name: str | None = None,
        tool_call_id: str | None = None,
        author: str | None = None,
        activity_type: str | None = None,
        encrypted_value: str | None = None,
        streaming: bool = False,
        auto_deny: bool = False,
        **envelope: Unpack[Envelope],
    ) -> Plan[Message]:
        """Add a message: `content` is text, or a list of parts.

        With `streaming`, append text to it and seal it. A user's message is refused while an approval is open; with
        `auto_deny` those approvals are withdrawn instead, and their tool calls fail.
        """
        parts = () if streaming and not content else content_parts(content)
        message = MessageAdded(
            message_id=message_id or self.executor.new_id("msg"),
            role=role,
            content=parts,
            name=name,
            tool_call_id=tool_call_id,
            author=author,
            activity_type=activity_type,
            encrypted_value=encrypted_value,
            streaming=streaming,
        )

        def decide(session: Session) -> None:
            run = self._state(session, envelope)
            if role == "user" and run.waiting_for and message.message_id not in run.messages.by_id:
                _clear_approvals(session, run, auto_deny=auto_deny)
            session.record(run, run.messages.add(message))

        return Plan(self.id, decide, lambda receipt: Message(message.message_id, self.executor, self.id, receipt), envelope)

    @command
    def call_tool(
        self,
        name: str,
        arguments: Any = None,
        *,
        call_id: str | None = None,
        message_id: str | None = None,
        provider_call_id: str | None = None,
        needs_approval: bool = False,
        **envelope: Unpack[Envelope],
    ) -> Plan[ToolCall]:
        """Record that the agent asked for a tool. `arguments` as text is kept to the letter; else it is JSON."""
        text, parsed = arguments_of(arguments)
        called = ToolCalled(
            call_id=call_id or self.executor.new_id("call"),
            name=name,
            arguments_text=text,
            arguments=parsed,
            message_id=message_id,
            provider_call_id=provider_call_id,
            needs_approval=needs_approval,
        )
        answer = self._child(ToolCall, called.call_id)
        return self._plan(lambda run: run.calls.call(called), envelope, answer)

    @command
    def decide(
        self,
        intent: str,
        *,
        options: Iterable[Option | Mapping[str, Any]],
        chosen: str,
        reasoning: str = "",
        decision_type: DecisionType = "custom",
        node_id: str | None = None,
        constraints: Iterable[str] = (),
        context: dict[str, Any] | None = None,
        decision_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Decision]:
        """Record a choice among options. `chosen` is the id of one of them."""
        made_id = decision_id or self.executor.new_id("dec")
        models = tuple(
            option if isinstance(option, Option) else Option.model_validate(option, strict=False) for option in options
        )

        def decide(run: RunState) -> list[Event]:
            made = DecisionMade(
                decision_id=made_id,
                ordinal=run.decisions.next_ordinal,
                decision_type=decision_type,
                node_id=node_id or run.steps.node_id,
                intent=intent,
                options=models,
                chosen_option_id=chosen,
                reasoning=reasoning,
                active_constraints=tuple(constraints),
                input_context=context or {},
            )
            return run.decisions.make(made)

        return self._plan(decide, envelope, self._child(Decision, made_id))

    @command
    def report_problem(
        self,
        severity: Severity,
        description: str,
        *,
        root_cause: str | None = None,
        decision_id: str | None = None,
        suggested_fix: str | None = None,
        problem_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Problem]:
        """Report something wrong. Allowed after the run's end too."""
        problem = ProblemReported(
            problem_id=problem_id or self.executor.new_id("prob"),
            severity=severity,
            description=description,
            root_cause=root_cause,
            decision_id=decision_id,
            suggested_fix=suggested_fix,
        )
        return self._plan(lambda run: run.problems.report(problem), envelope, self._child(Problem, problem.problem_id))

    @command
    def violate_constraint(
        self,
        constraint_id: str,
        kind: Literal["hard", "soft"],
        description: str,
        *,
        decision_id: str | None = None,
        details: dict[str, Any] | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Record that a constraint of the goal was broken."""
        violation = ConstraintViolated(
            constraint_id=constraint_id, kind=kind, description=description, decision_id=decision_id, details=details
        )
        return self._plan(lambda run: run.problems.violate(violation), envelope)

    @command
    def usage(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        total_tokens: int | None = None,
        cache_read_input_tokens: int | None = None,
        cache_creation_input_tokens: int | None = None,
        reasoning_output_tokens: int | None = None,
        service_tier: str | None = None,
        raw: dict[str, Any] | None = None,
        model_call_id: str | None = None,
        step_id: str | None = None,
        node_id: str | None = None,
        usage_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Usage]:
        """Record what one model call used: never cumulative. What is not given is not reported, which is not zero."""
        tokens = Tokens(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total_tokens,
            cache_read_input_tokens=cache_read_input_tokens,
            cache_creation_input_tokens=cache_creation_input_tokens,
            reasoning_output_tokens=reasoning_output_tokens,
        )
        recorded_id = usage_id or (f"usage_{model_call_id}" if model_call_id else self.executor.new_id("usage"))

        def decide(run: RunState) -> list[Event]:
            used = UsageRecorded(
                usage_id=recorded_id,
                model_call_id=model_call_id,
                step_id=step_id,
                node_id=node_id or run.steps.node_id,
                provider=provider,
                model=model,
                tokens=tokens,
                service_tier=service_tier,
                raw=raw,
            )
            return run.usages.record(used)

        return self._plan(decide, envelope, self._child(Usage, recorded_id))

    @command
    def report_cost(
        self,
        amount: Any,
        currency: str = "USD",
        *,
        source: Literal["provider", "local"] = "provider",
        provider: str | None = None,
        model: str | None = None,
        usage_id: str | None = None,
        node_id: str | None = None,
        cost_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Receipt]:
        """Say what something cost. `amount` is a Decimal or a decimal string. Allowed after the run's end too."""
        cost = CostReported.model_validate(
            {
                "cost_id": cost_id or self.executor.new_id("cost"),
                "usage_id": usage_id,
                "node_id": node_id,
                "provider": provider,
                "model": model,
                "amount": amount,
                "currency": currency,
                "source": source,
            },
            strict=isinstance(amount, float),
        )
        return self._plan(lambda run: run.usages.report_cost(cost), envelope)

    @command
    def start_step(
        self, name: str, *, node_id: str | None = None, step_id: str | None = None, **envelope: Unpack[Envelope]
    ) -> Plan[Step]:
        """Begin a step."""
        started = StepStarted(step_id=step_id or self.executor.new_id("step"), name=name, node_id=node_id)
        return self._plan(lambda run: run.steps.start(started), envelope, self._child(Step, started.step_id))

    @command
    def start_model_call(
        self,
        *,
        provider: str | None = None,
        request_model: str | None = None,
        prompt_message_ids: Iterable[str] = (),
        model_call_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[ModelCall]:
        """Record that a request goes to a model."""
        started = ModelCallStarted(
            model_call_id=model_call_id or self.executor.new_id("mcall"),
            provider=provider,
            request_model=request_model,
            prompt_message_ids=tuple(prompt_message_ids),
        )
        return self._plan(lambda run: run.steps.start(started), envelope, self._child(ModelCall, started.model_call_id))

    @command
    def enter_node(self, node_id: str, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Come to a node of the run's graph. Decisions and usage that name none belong to it."""
        return self._plan(lambda run: run.steps.enter_node(node_id), envelope)

    @command
    def traverse_edge(
        self, from_node_id: str, to_node_id: str, *, condition: str | None = None, **envelope: Unpack[Envelope]
    ) -> Plan[Receipt]:
        """Go from one node of the run's graph to another."""
        edge = EdgeTraversed(from_node_id=from_node_id, to_node_id=to_node_id, condition=condition)
        return self._plan(lambda run: run.steps.traverse_edge(edge), envelope)

    @command
    def set_state(self, state: Any, **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Record the shared state, whole."""
        return self._plan(lambda run: run.steps.take_snapshot(state), envelope)

    @command
    def patch_state(self, patch: list[dict[str, Any]], **envelope: Unpack[Envelope]) -> Plan[Receipt]:
        """Change the shared state by a JSON Patch (RFC 6902), whole or not at all. A branch starts from its parent's state."""

        def decide(session: Session) -> None:
            run = self._state(session, envelope)
            inherited = None if run.steps.has_state else session.inherited_state(run)
            session.record(run, run.steps.patch(patch, inherited))

        return Plan(self.id, decide, itself, envelope)

    @command
    def request_approval(  # noqa: PLR0913  one for each thing that can be said of what is asked
        self,
        action: str,
        *,
        arguments: Any = None,
        call_id: str | None = None,
        decision_id: str | None = None,
        reason: str | None = None,
        message: str | None = None,
        expires_in: str | timedelta | None = None,
        expires_at: datetime | None = None,
        quorum: int = 1,
        eligible: Iterable[str] = (),
        approver_kinds: Iterable[ActorKind] | None = ONLY_PEOPLE,
        requester_excluded: bool | None = True,
        choices: Iterable[Choice | Mapping[str, Any]] = (),
        response_schema: dict[str, Any] | None = None,
        approval_id: str | None = None,
        **envelope: Unpack[Envelope],
    ) -> Plan[Approval]:
        """Stop and ask a person. The run waits until every approval it asked for is decided.

        `arguments` is exactly what is to be approved: text to the letter, or JSON. `expires_in` is `90s`, `15m`, `1h`, `7d`:
        what is granted before is to be used until then, and before the run ends. People decide, others than who asked, unless
        `approver_kinds` or `requester_excluded` say otherwise; null says nothing, and leaves it to anybody.
        A `response` that comes with a yes is held to `response_schema`, a JSON Schema that stands by itself.
        """
        text, _ = arguments_of(arguments)
        require_schema("response_schema", response_schema)
        if expires_in is not None:
            expires_at = self.executor.clock() + duration("expires_in", expires_in)
        requested = ApprovalRequested(
            run_id=self.id,
            requested_by=str(Actor.parse(envelope.get("actor", self.executor.actor))),
            call_id=call_id,
            decision_id=decision_id,
            action=action,
            reason=reason or ("tool_call" if call_id else "confirmation"),
            message=message,
            arguments_text=text,
            arguments_digest=digest(text),
            choices=tuple(item if isinstance(item, Choice) else Choice.model_validate(item) for item in choices),
            response_schema=response_schema,
            expires_at=expires_at,
            rule=ApprovalRule(
                quorum=quorum,
                eligible=tuple(eligible),
                requester_excluded=requester_excluded,
                approver_kinds=None if approver_kinds is None else tuple(approver_kinds),
            ),
        )
        asked_id = checked_id(ApprovalId, "approval_id", approval_id) if approval_id else self.executor.new_id("approval")

        def decide(session: Session) -> None:
            run, approval = self._state(session, envelope), session.new(ApprovalState, asked_id)
            asked = approval.ask(requested)
            if call_id is not None and call_id not in run.calls.by_id:
                run.refuse("request_approval", f"this run has no tool call {call_id!r}")
            waiting = run.wait_for_approval(asked_id)
            context = session.context_of(run)._replace(call_id=call_id, decision_id=decision_id)
            session.begin(approval, asked, session.thread_of(run), context)
            session.record(run, waiting)

        return Plan(self.id, decide, lambda receipt: Approval(asked_id, self.executor, receipt), envelope)

    submit_add_message = submitting(add_message)
    submit_call_tool = submitting(call_tool)
    submit_decide = submitting(decide)
    submit_report_problem = submitting(report_problem)
    submit_violate_constraint = submitting(violate_constraint)
    submit_usage = submitting(usage)
    submit_report_cost = submitting(report_cost)
    submit_start_step = submitting(start_step)
    submit_start_model_call = submitting(start_model_call)
    submit_enter_node = submitting(enter_node)
    submit_traverse_edge = submitting(traverse_edge)
    submit_set_state = submitting(set_state)
    submit_patch_state = submitting(patch_state)
    submit_request_approval = submitting(request_approval)

    def _child(self, kind: type[C], child_id: str) -> Callable[[Receipt], C]:
        return lambda receipt: kind(child_id, self.executor, self.id, receipt)


def _clear_approvals(session: Session, run: RunState, *, auto_deny: bool) -> None:
    """New input came while approvals are open: refuse it, or let the approvals go and their calls fail."""
    if not auto_deny:
        run.refuse("add_message", "decide its approvals first, or send the message with auto_deny")
    for approval_id in run.waiting_for:
        approval = session.approval(approval_id)
        session.record(approval, approval.withdraw("new_input"))
        call_id = approval.request.call_id
        if call_id in run.calls.open_ids:
            denied = Failure(code="approval_denied", message="withdrawn: new input came before it was decided")
            session.record(run, run.calls.end(ToolFailed(call_id=call_id, error=denied)))
        session.record(run, run.approval_resolved(approval_id))
