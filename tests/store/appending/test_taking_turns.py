"""Callers that append for themselves and the thread that appends for others take turns, and nobody is forgotten."""

import threading

from runfold import Ledger, Run


def test_nobody_waits_for_ever(ledger: Ledger) -> None:
    thread = ledger.create_thread(agent_id="support")
    forgotten: list[str] = []

    def write(run: Run) -> None:
        for number in range(300):
            try:
                run.submit_add_message("user", str(number)).result(timeout=60)
                run.add_message("user", str(number))
            except TimeoutError:
                forgotten.append(f"{run.id} {number}")
                return

    writers = [threading.Thread(target=write, args=[thread.start_run(parent=None)], daemon=True) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    assert not forgotten
    assert not any(writer.is_alive() for writer in writers)
    assert ledger.position() == 1 + 6 * (2 + 600)
