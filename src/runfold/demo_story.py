"""The demo's story: a customer wants money back, an agent acts, and a person decides what the agent may do.

The same seed tells the same story under the same ids, so that telling it again records nothing. Each scene is one
transaction through the public SDK: it is there whole, or not at all.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from runfold.errors import RunNotFound
from runfold.handles.ledgers.batch import Batch
from runfold.handles.ledgers.tenant_ledger import TenantLedger
from runfold.handles.run import Run
from runfold.ids import stable_id

AGENT, CLERK = "agent:support", "human:ada"

_CUSTOMERS = ("Mira", "Jonas", "Amara", "Teo", "Ingrid", "Rafael")
_GOODS = (
    ("rain jacket", "the left sleeve is torn", "79.90"),
    ("desk lamp", "the switch is broken", "54.50"),
    ("tea set", "two cups are cracked", "46.00"),
    ("trail shoes", "one sole has come off", "119.00"),
    ("headphones", "the right side is silent", "89.00"),
)
_POSTAGE = ("4.95", "5.90", "6.50")


@dataclass(frozen=True)
class Cast:
    """Who and what the story is about."""

    name: str
    customer: str
    goods: str
    flaw: str
    price: Decimal
    postage: Decimal
    order: int
    tokens: tuple[int, ...]

    @classmethod
    def of(cls, seed: int, tenant: str) -> Self:
        """The cast of a seed. Another tenant's demo has other ids: ids are unique in the whole ledger."""
        chance = random.Random(seed)  # noqa: S311  a story, not a secret
        goods, flaw, price = chance.choice(_GOODS)
        return cls(
            name=f"demo{seed}" if tenant == "default" else stable_id("demo", tenant, str(seed)),
            customer=chance.choice(_CUSTOMERS),
            goods=goods,
            flaw=flaw,
            price=Decimal(price),
            postage=Decimal(chance.choice(_POSTAGE)),
            order=chance.randrange(10_000, 99_999),
            tokens=tuple(chance.randrange(180, 2_400) for _ in range(12)),
        )

    def id(self, kind: str, name: str) -> str:
        """`run_demo7_claim`: short enough to type."""
        return f"{kind}_{self.name}_{name}"

    @property
    def thread_id(self) -> str:
        """The story's thread."""
        return f"thread_{self.name}"

    @property
    def total(self) -> Decimal:
        """Goods and postage."""
        return self.price + self.postage


def tell(ledger: TenantLedger, cast: Cast) -> int:
    """Record what of the story is not there yet, and return the number of new events."""
    scenes: list[tuple[str, Callable[[Batch, Cast], None]]] = [
        ("claim", _the_claim),
        ("voucher", _the_voucher),
        ("exchange", _the_exchange),
        ("express", _the_express),
    ]
    appended = 0
    for name, scene in scenes:
        if not _is_told(ledger, cast.id("run", name)):
            with ledger.batch() as batch:
                scene(batch, cast)
            appended += batch.appended
    return appended


def _is_told(ledger: TenantLedger, run_id: str) -> bool:
    try:
        ledger.run(run_id).view()
    except RunNotFound:
        return False
    return True


def _the_claim(batch: Batch, cast: Cast) -> None:
    """The customer asks; a sub-agent reads the policy; the refund needs a person, who grants less than was asked."""
    thread = batch.create_thread(
        thread_id=cast.thread_id,
        agent_id="support",
        user_id=f"customer-{cast.order}",
        title=f"Refund for order {cast.order}",
        metadata={"channel": "chat"},
    )
    run = thread.start_run(
        {"order": cast.order},
        run_id=cast.id("run", "claim"),
        agent_version="2.4.0",
        goal={"id": "settle-claim", "description": "Settle the claim within policy"},
    )
    run.set_state({"order": cast.order, "claim": "open"})
    question = f"Hello! My {cast.goods} came today and {cast.flaw}. May I have my money back?"
    _says(run, cast, "user", "question", question)
    _looks_up_the_order(run, cast)
    _asks_the_policy(batch, run, cast)
    _is_granted(batch, run, cast)
    answer = run.add_message("assistant", streaming=True, message_id=cast.id("msg", "answer"))
    answer.append_text(f"I am sorry about the {cast.goods}. ", offset=0)
    answer.append_text(f"{cast.price} EUR are on their way to you; ")
    answer.append_text("the postage is not part of it.")
    answer.seal(finish_reason="stop")
    _uses(run, cast, "answer", "openai", "gpt-4o", 4)
    run.patch_state([{"op": "replace", "path": "/claim", "value": "refunded"}])
    run.complete({"refunded": f"{cast.price} EUR"})


def _looks_up_the_order(run: Run, cast: Cast) -> None:
    step = run.start_step("look up the order", node_id="lookup", step_id=cast.id("step", "lookup"))
    _uses(run, cast, "lookup", "openai", "gpt-4o-mini", 0)
    found = run.call_tool("find_order", {"order": cast.order}, call_id=cast.id("call", "find"))
    found.start(execution_key=cast.id("exec", "find"))
    found.succeed({"goods": cast.goods, "paid": f"{cast.total} EUR"})
    step.finish()
    problem = run.report_problem(
        "warning",
        "no photo of the damage came with the claim",
        problem_id=cast.id("prob", "photo"),
        suggested_fix="ask for one before more than 150 EUR go back",
    )
    problem.resolve("under 150 EUR the customer's word is enough", actor=CLERK)


def _asks_the_policy(batch: Batch, run: Run, cast: Cast) -> None:
    reader = batch.thread(cast.thread_id).start_run(
        {"question": "May a damaged article be refunded?"},
        run_id=cast.id("run", "policy"),
        agent_id="policy-reader",
        parent=run,
        kind="spawned_by",
    )
    _says(reader, cast, "assistant", "policy", "Damaged goods: full price within 30 days. Postage is refunded by a clerk only.")
    _uses(reader, cast, "policy", "anthropic", "claude-sonnet-4-5", 2)
    reader.complete({"refundable": True})


def _is_granted(batch: Batch, run: Run, cast: Cast) -> None:
    decision = run.decide(
        "settle the claim",
        decision_id=cast.id("dec", "settle"),
        chosen="refund",
        decision_type="tool_selection",
        reasoning="The order is 3 days old and the policy allows it; an exchange was not asked for.",
        options=[
            {"id": "refund", "description": "refund the order", "pros": ["what was asked for"], "confidence": 0.85},
            {"id": "exchange", "description": "send a new one", "cons": ["not asked for"], "confidence": 0.6},
        ],
    )
    asked = {"order": cast.order, "amount": f"{cast.total} EUR"}
    granted = {"order": cast.order, "amount": f"{cast.price} EUR"}
    refund = run.call_tool("refund", asked, call_id=cast.id("call", "refund"), needs_approval=True)
    approval = run.request_approval(
        "refund",
        arguments=asked,
        call_id=refund.id,
        decision_id=decision.id,
        expires_in="7d",
        message=f"Refund {cast.total} EUR to {cast.customer}?",
        approval_id=cast.id("approval", "refund"),
        requester_excluded=True,
    )
    batch.approval(approval.id).grant(actor=CLERK, arguments=granted, comment="The goods, not the postage.")
    refund.start(approval=approval, execution_key=cast.id("exec", "refund"))
    refund.succeed({"refunded": f"{cast.price} EUR"})
    decision.outcome(success=True, summary="refunded, without the postage", tokens_used=cast.tokens[0] + cast.tokens[1])


def _the_voucher(batch: Batch, cast: Cast) -> None:
    """The customer wants more; the agent asks; the person says no; the agent says so."""
    run = batch.thread(cast.thread_id).start_run(
        {"wish": "postage"}, run_id=cast.id("run", "voucher"), parent=batch.run(cast.id("run", "claim"))
    )
    _says(run, cast, "user", "wish", "Thank you. And the postage? A voucher would do.")
    wanted = {"order": cast.order, "value": "20.00 EUR"}
    voucher = run.call_tool("issue_voucher", wanted, call_id=cast.id("call", "voucher"), needs_approval=True)
    approval = run.request_approval(
        "issue_voucher", arguments=wanted, call_id=voucher.id, approval_id=cast.id("approval", "voucher"), expires_in="7d"
    )
    batch.approval(approval.id).deny("No vouchers on top of a refund.", actor=CLERK)
    _says(
        run, cast, "assistant", "sorry", "I asked, and a voucher on top of the refund is not possible. I hope that is all right."
    )
    _uses(run, cast, "sorry", "openai", "gpt-4o", 6)
    run.complete({"voucher": None})


def _the_exchange(batch: Batch, cast: Cast) -> None:
    """The same claim, had the customer asked otherwise: a branch, on which the question reads differently."""
    claim = batch.run(cast.id("run", "claim"))
    run = claim.branch({"wish": "exchange"}, run_id=cast.id("run", "exchange"), at_version=_AT_THE_QUESTION)
    run.start()
    question = run.message(cast.id("msg", "question"))
    question.revise(
        f"Hello! My {cast.goods} came today and {cast.flaw}. Could you send me a new one?",
        reason="the customer changed their mind",
    )
    batch.thread(cast.thread_id).name_head("exchange", run)
    decision = run.decide(
        "settle the claim",
        decision_id=cast.id("dec", "instead"),
        chosen="exchange",
        reasoning="A new one is what is wanted.",
        options=[{"id": "exchange", "description": "send a new one"}, {"id": "refund", "description": "refund the order"}],
    )
    sent = run.call_tool("send_replacement", {"order": cast.order}, call_id=cast.id("call", "replace"))
    sent.start(execution_key=cast.id("exec", "replace"))
    sent.succeed({"parcel": f"P{cast.order}"})
    decision.outcome(success=True, summary="a new one is on its way")
    _says(run, cast, "assistant", "sent", f"A new {cast.goods} leaves today, parcel P{cast.order}.")
    _uses(run, cast, "sent", "anthropic", "claude-haiku-4-5", 8)
    run.complete({"replaced": True})


def _the_express(batch: Batch, cast: Cast) -> None:
    """One more wish on that branch; nobody answers the agent's question before the customer leaves."""
    run = batch.thread(cast.thread_id).start_run(
        {"wish": "express"}, run_id=cast.id("run", "express"), parent=batch.run(cast.id("run", "exchange"))
    )
    _says(run, cast, "user", "hurry", "Could it come tomorrow, by express?")
    wanted = {"parcel": f"P{cast.order}", "price": "14.00 EUR"}
    express = run.call_tool("book_express", wanted, call_id=cast.id("call", "express"), needs_approval=True)
    run.request_approval(
        "book_express", arguments=wanted, call_id=express.id, approval_id=cast.id("approval", "express"), expires_in="7d"
    )
    run.cancel("the customer left the chat", actor="service:chat")


_AT_THE_QUESTION = 4
"""The claim's version at which its question is asked: created, started, state, question."""


def _says(run: Run, cast: Cast, role: str, name: str, text: str) -> None:
    actor = f"human:customer-{cast.order}" if role == "user" else AGENT
    run.add_message(role, text, message_id=cast.id("msg", name), actor=actor)  # type: ignore[arg-type]  # a role, checked there


def _uses(run: Run, cast: Cast, name: str, provider: str, model: str, at: int) -> None:
    asked = run.start_model_call(provider=provider, request_model=model, model_call_id=cast.id("mcall", name))
    asked.finish(response_model=model, finish_reasons=("stop",))
    run.usage(
        provider=provider,
        model=model,
        model_call_id=asked.id,
        input_tokens=cast.tokens[at],
        output_tokens=cast.tokens[at + 1] // 8,
    )
