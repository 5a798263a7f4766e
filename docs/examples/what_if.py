"""A branch: what the agent would have done had its user asked otherwise, beside what it did."""

from runfold import Ledger


def main() -> None:
    """Record both ways, and print where they part."""
    with Ledger.open() as ledger:
        thread = ledger.create_thread(agent_id="planner", title="A day in Vienna")
        run = thread.start_run()
        question = run.add_message("user", "Plan a day in Vienna, by bicycle.")
        run.add_message("assistant", "Prater, then along the Danube canal.")
        run.complete()

        other = run.branch(at_version=question.receipt.version, agent_id="planner")  # one event, nothing copied
        other.start()
        other.message(question.id).revise("Plan a day in Vienna, it will rain.")
        other.add_message("assistant", "The museum of art history, then a coffee house.")
        other.complete()
        thread.name_head("rain", other)

        for head in ("main", "rain"):
            print(f"{head}:", " | ".join(message.text for message in thread.messages(head=head)))
        parting = ledger.now.diff(run.id, other.id).divergence
        print("they part at:", [step.kind for step in (parting.a, parting.b) if step] if parting else "nowhere")
        print("before the branch:", [message.text for message in ledger.at(question.receipt.position).messages(thread.id)])


if __name__ == "__main__":
    main()
