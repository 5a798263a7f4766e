"""The rules again, in the fewest words, written from their description and not from the code: what a command comes to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["happens", "is so already", "is refused"]
HAPPENS, ALREADY, REFUSED = "happens", "is so already", "is refused"
ENDED = {"completed", "failed", "cancelled"}


@dataclass
class ApprovalModel:
    """What is known of one approval: who may vote, who voted for what, how it ended."""

    quorum: int
    eligible: set[str]
    excluded: str | None
    expires_at: int
    status: str = "open"
    votes: dict[str, tuple[str, str]] = field(default_factory=dict)
    effective: str = ""
    used: tuple[str, str] | None = None

    def vote(self, voter: str, verdict: str, text: str) -> Verdict:
        if self.votes.get(voter) == (verdict, text):
            return ALREADY
        if self.status != "open" or voter in self.votes or voter not in self.eligible or voter == self.excluded:
            return REFUSED
        self.votes[voter] = (verdict, text)
        if verdict == "deny":
            self.status = "denied"
        elif list(self.votes.values()).count(("approve", text)) >= self.quorum:
            self.status, self.effective = "granted", text
        return HAPPENS

    def expire(self, now: int) -> Verdict:
        if self.status == "expired":
            return ALREADY
        if self.status != "open" or now < self.expires_at:
            return REFUSED
        self.status = "expired"
        return HAPPENS

    def consume(self, text: str, key: str, now: int, *, run_ended: bool) -> Verdict:
        if self.used == (text, key):
            return ALREADY
        if self.status != "granted" or self.used or text != self.effective or run_ended or now >= self.expires_at:
            return REFUSED
        self.used = (text, key)
        return HAPPENS


@dataclass
class RunModel:
    """What is known of one run."""

    status: str = "created"
    waits_for: str = ""
    approvals: list[str] = field(default_factory=list)
    holder: tuple[str, int] | None = None
    wished_away: bool = False
    workflow: str = ""
    messages: set[str] = field(default_factory=set)
    calls: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, int | None] = field(default_factory=dict)
    problems: dict[str, bool] = field(default_factory=dict)

    def start(self) -> Verdict:
        if self.status == "running":
            return ALREADY
        return self._become("running") if self.status in {"created", "stuck"} else REFUSED

    def wait(self, reason: str) -> Verdict:
        if self.waits_for == reason:
            return ALREADY
        if self.approvals or self.status not in {"running", "stuck", "waiting"}:
            return REFUSED
        self.waits_for = reason
        return self._become("waiting")

    def ask(self, approval: str) -> Verdict:
        if self.status not in {"running", "stuck"} and not self.approvals:
            return REFUSED
        self.approvals.append(approval)
        self.waits_for = "approval"
        return self._become("waiting")

    def resolved(self, approval: str) -> None:
        if approval in self.approvals:
            self.approvals.remove(approval)
            if not self.approvals:
                self._become("running")

    def resume(self) -> Verdict:
        if self.status == "running":
            return ALREADY
        return self._become("running") if self.status == "waiting" and not self.approvals else REFUSED

    def get_stuck(self) -> Verdict:
        if self.status == "stuck":
            return ALREADY
        return self._become("stuck") if self.status == "running" else REFUSED

    def end(self, status: str) -> Verdict:
        if self.status == status:
            return ALREADY
        if self.status in ENDED or (status == "completed" and self.status != "running"):
            return REFUSED
        self.approvals.clear()
        return self._become(status)

    def claim(self, execution: str, until: int, now: int, *, take_over: bool) -> Verdict:
        if self.status in ENDED or self.status == "waiting":
            return REFUSED
        if self.holder == (execution, until):
            return ALREADY
        if self.holder and self.holder[0] != execution and (now < self.holder[1] or not take_over):
            return REFUSED
        self.holder = (execution, until)
        return self._work()

    def release(self, execution: str) -> Verdict:
        if self.holder is None:
            return ALREADY
        if self.holder[0] != execution:
            return REFUSED
        self.holder = None
        return HAPPENS

    def wish_away(self) -> Verdict:
        if self.wished_away or self.status == "cancelled":
            return ALREADY
        self.wished_away = self.status not in ENDED
        return HAPPENS if self.wished_away else REFUSED

    def link(self, workflow: str) -> Verdict:
        before, self.workflow = self.workflow, workflow
        return ALREADY if before == workflow else HAPPENS

    def add_message(self, message: str) -> Verdict:
        if message in self.messages:
            return ALREADY
        return self._work(lambda: self.messages.add(message))

    def call(self, call: str) -> Verdict:
        if call in self.calls:
            return ALREADY
        return self._work(lambda: self.calls.update({call: "open"}))

    def end_call(self, call: str) -> Verdict:
        if self.calls.get(call) == "ended":
            return ALREADY
        return self._work(lambda: self.calls.update({call: "ended"})) if call in self.calls else REFUSED

    def decide(self, decision: str, *, among_the_options: bool) -> Verdict:
        if decision in self.outcomes:
            return ALREADY
        return self._work(lambda: self.outcomes.update({decision: None})) if among_the_options else REFUSED

    def outcome(self, decision: str, result: int) -> Verdict:
        known = self.outcomes.get(decision)
        if known == result:
            return ALREADY
        if decision not in self.outcomes or known is not None:
            return REFUSED
        return self._work(lambda: self.outcomes.update({decision: result}))

    def correct(self, decision: str, result: int) -> Verdict:
        known = self.outcomes.get(decision)
        if known is None:
            return REFUSED
        self.outcomes[decision] = result
        return ALREADY if known == result else HAPPENS

    def report(self, problem: str) -> Verdict:
        if problem in self.problems:
            return ALREADY
        self.problems[problem] = False
        return HAPPENS

    def resolve(self, problem: str) -> Verdict:
        if problem not in self.problems:
            return REFUSED
        before, self.problems[problem] = self.problems[problem], True
        return ALREADY if before else HAPPENS

    def _work(self, happens: Callable[[], object] = lambda: None) -> Verdict:
        if self.status in ENDED:
            return REFUSED
        happens()
        return self._become("running") if self.status == "stuck" else HAPPENS

    def _become(self, status: str) -> Verdict:
        self.status = status
        if status != "waiting":
            self.waits_for = ""
        if status in ENDED or status == "waiting":
            self.holder = None
        return HAPPENS
