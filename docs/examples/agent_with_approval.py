"""An agent asks before it pays money back; a person allows less; the agent does what was allowed, once."""

from runfold import CommandRefused, Ledger


def main() -> None:
    """Record it, and print what happened."""
    with Ledger.open(actor="agent:support") as ledger:
        run = ledger.create_thread(agent_id="support").start_run({"ticket": 42})
        run.add_message("user", "My tea set came broken. I want my money back.")
        wanted = {"order": 7, "amount": "51.90 EUR"}
        call = run.call_tool("refund", wanted, needs_approval=True)
        approval = run.request_approval("refund", arguments=wanted, call_id=call.id, expires_in="1h")
        print("waiting:", run.view().status)

        approval.grant(arguments={"order": 7, "amount": "46.00 EUR"}, comment="without postage", actor="human:ada")
        allowed = ledger.now.approval(approval.id).effective_arguments_text
        print("allowed:", allowed)

        call.start(approval=approval, arguments_text=allowed)
        call.succeed({"refunded": "46.00 EUR"})
        again = run.call_tool("refund", wanted, needs_approval=True)
        try:
            again.start(approval=approval, arguments_text=allowed)
        except CommandRefused:
            print("a second time: refused")
        run.add_message("assistant", "46.00 EUR are on their way to you.")
        again.cancel("it was paid already")
        run.complete(output={"refunded": "46.00 EUR"})
        print("ended:", run.view().status)


if __name__ == "__main__":
    main()
