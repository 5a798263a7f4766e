from runfold import Ledger


def test_a_recorded_message_is_read_back(ledger: Ledger) -> None:
    run = ledger.create_thread(agent_id="support").start_run()
    run.add_message("user", "Where is my order?")
    assert [message.text for message in run.messages()] == ["Where is my order?"]
