"""How fast is the log read: whole and in order, its events decoded or not, and one thread among many?

Against COPY out and eventsourcing's recorder. And how fast do a subscription of the SDK and an event stream over HTTP catch up?
"""

import contextlib
import os
import time
from collections.abc import Callable

import psycopg
from measuring import Report, arguments, in_turn, server
from over_http import SERVE, clients, service

from runfold import Ledger
from runfold.adapters.eventsourcing_recorder import LogRecorder
from runfold.store.reading.filter import Filter
from runfold.store.reading.reader import Reader
from runfold.store.reading.tenant_reader import TenantReader

TEXT = "The order left our warehouse on Tuesday; the carrier says it arrives tomorrow by noon."


def fill(ledger: Ledger, threads: int, messages: int) -> list[str]:
    """Threads of one run each, their events interleaved; returns the threads' ids."""
    runs = []
    with ledger.batch() as batch:
        for _ in range(threads):
            thread = batch.create_thread(agent_id="support")
            runs.append((thread.id, thread.start_run().id))
    for first in range(0, messages, 10):
        with ledger.batch() as batch:
            for _, run_id in runs:
                into = batch.run(run_id)
                for _ in range(min(10, messages - first)):
                    into.add_message("assistant", TEXT)
    return [thread_id for thread_id, _ in runs]


def rate(read: Callable[[], int]) -> float:
    """Events a second."""
    started = time.perf_counter()
    return read() / (time.perf_counter() - started)


def copied_out(url: str) -> int:
    """Binary COPY of the same columns, unread."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        head = connection.execute("SELECT position FROM runfold.head").fetchone()
        query = (
            "COPY (SELECT notification_id, originator_id, originator_version, topic, schema_version, state, tenant_id, thread_id,"
            " event_id, recorded_at, context, metadata FROM runfold.log ORDER BY notification_id) TO STDOUT (FORMAT binary)"
        )
        with cursor.copy(query) as copy:
            for _ in copy:
                continue
    assert head
    return int(head[0])


def decoded(reader: Reader) -> int:
    """Every event looked at."""
    count = 0
    for recorded in reader.events():
        count += recorded.event is not None
    return count


def by_library(ledger: Ledger) -> int:
    """eventsourcing's own way: pages of notifications, payloads unread."""
    recorder, after, count = LogRecorder(TenantReader.of(ledger.recorder.reader, "default")), 0, 0
    while page := recorder.select_notifications(start=after, limit=2000, inclusive_of_start=False):
        after, count = int(page[-1].id), count + len(page)
    return count


def main() -> None:
    """Measure, and print."""
    asked = arguments(__doc__ or "", threads=(500, "threads"), messages=(400, "messages of each thread"))
    wanted = {"copy_out": "≥ 0.5", "decoded_copy_out": "≥ 0.33", "stream_subscription": "≥ 0.8", "stream_copy_out": "≥ 0.3"}
    report = Report("read", wanted=wanted)
    with server() as own, own.ledger("runfold_sdk") as ledger, contextlib.ExitStack() as stack:
        ids = fill(ledger, asked.threads, asked.messages)
        place = stack.enter_context(service(own, "runfold_sdk", *SERVE))
        last = ledger.position()
        reader, own_part = ledger.recorder.reader, TenantReader.of(ledger.recorder.reader, "default")
        url = own.embedded.url("postgres", "runfold_sdk")
        rates = in_turn(
            asked.rounds,
            {
                "copy_out": lambda _: rate(lambda: copied_out(url)),
                "whole_log": lambda _: rate(lambda: sum(1 for _ in reader.events())),
                "whole_log_decoded": lambda _: rate(lambda: decoded(reader)),
                "library_pages": lambda _: rate(lambda: by_library(ledger)),
                "subscription": lambda _: rate(lambda: sum(1 for _ in ledger.subscribe(follow=False))),
                "event_stream": lambda _: last / float(clients("catching_up", place, last)["seconds"]),
                "one_thread": lambda number: rate(lambda: sum(1 for _ in own_part.events(Filter(thread_id=ids[number])))),
                "one_conversation": lambda number: rate(lambda: len(ledger.thread(ids[number]).messages())),
            },
        )
        report.figures = {"events": ledger.position(), **{name: round(value) for name, value in rates.items()}}
        report.ratios = {
            "copy_out": rates["whole_log"] / rates["copy_out"],
            "decoded_copy_out": rates["whole_log_decoded"] / rates["copy_out"],
            "stream_subscription": rates["event_stream"] / rates["subscription"],
            "stream_copy_out": rates["event_stream"] / rates["copy_out"],
            "library": rates["whole_log"] / rates["library_pages"],
        }
    report.print(as_json=asked.json)


if __name__ == "__main__":
    os.environ.pop("RUNFOLD_DATABASE_URL", None)
    main()
