"""`runfold relay nats` to a real server: every event once, in order, whatever is killed, and clear words where that cannot be."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StreamConfig

from runfold import Ledger, Settings
from tests.cli.conftest import Answer, Command, Process
from tests.databases import TestDatabase
from tests.put_back import put_back
from tests.waiting import until

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from faults.nats_server import NatsServer, program
from faults.relaying import Killer, RelayProcess, difference, wanted_ids

STREAM = "RUNFOLD-default"
Relay = Callable[..., Answer]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A NATS server of its own, which the settings name. Skips where there is none, except in CI, where it must be."""
    if program() is None:
        reason = "nats-server is not installed (Debian: apt-get install nats-server)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = NatsServer(tmp_path)
    found.start()
    monkeypatch.setenv("RUNFOLD_NATS_URL", found.url)
    yield found
    found.kill()


@pytest.fixture
def relay(runfold: Command, server: NatsServer) -> Relay:
    """Sends what is there now, and answers with what was printed."""
    return lambda *options: runfold("relay", "nats", "--once", *options)


def at_the_server(server: NatsServer, do: Callable[[JetStreamContext], Any]) -> Any:
    async def ask() -> Any:
        async with await nats.connect(server.url) as client:
            return await do(client.jetstream())

    return asyncio.run(ask())


def record(ledger: Ledger, messages: int) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    with ledger.batch() as batch:
        for number in range(messages):
            batch.run(run.id).add_message("user", f"hello {number}")


def ids(server: NatsServer, stream: str = STREAM) -> list[str]:
    return [each.id for each in server.messages(stream)]


def test_every_event_comes_once_in_order_with_what_names_it(relay: Relay, ledger: Ledger, server: NatsServer) -> None:
    record(ledger, 600)
    answer = relay("--json").json
    assert (answer["sent"], answer["position"]) == (603, ledger.position())
    kept = server.messages(STREAM)
    assert difference(wanted_ids(ledger), [each.id for each in kept]) == ""
    first, event = kept[0], ledger.events(limit=1)[0]
    assert (first.subject, json.loads(first.body)) == (
        "runfold.default.thread.created",
        {**json.loads(first.body), **event.as_json()},
    )
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Runfold-Cursor"] == f"1@{ledger.head().epoch.hex}"
    record(ledger, 1)
    assert relay("--json").json["sent"] == 4, "it goes on behind what the stream has"
    assert relay().out.startswith("0 events sent, up to 607@")
    by_name = {each.name: each for each in ledger.reactors()}
    status = by_name[f"relay.nats.{STREAM}.default"]
    assert (status.done, status.position, status.state) == ({"sent": 607}, ledger.position(), "not running")


def test_what_was_sent_is_not_sent_again_though_nobody_noted_it_and_the_window_is_over(
    relay: Relay, ledger: Ledger, server: NatsServer, database: TestDatabase
) -> None:
    wanted = StreamConfig(name="KEPT", subjects=["runfold.default.>"], duplicate_window=0.1)
    at_the_server(server, lambda context: context.add_stream(wanted))
    record(ledger, 20)
    relay("--stream", "KEPT")
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("UPDATE runfold.reactors SET position = 3")
    server.kill()
    server.start()
    record(ledger, 2)
    assert relay("--stream", "KEPT", "--json").json["sent"] == 5
    assert difference(wanted_ids(ledger), ids(server, "KEPT")) == ""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("DELETE FROM runfold.reactors")
    assert relay("--stream", "KEPT", "--json").json["sent"] == 0


def test_what_the_stream_has_dropped_is_not_sent_again_and_a_new_stream_gets_everything(
    relay: Relay, ledger: Ledger, server: NatsServer
) -> None:
    record(ledger, 5)
    relay()
    at_the_server(server, lambda context: context.purge_stream(STREAM))
    assert relay("--json").json["sent"] == 0
    record(ledger, 1)
    assert relay("--json").json["sent"] == 4
    at_the_server(server, lambda context: context.delete_stream(STREAM))
    assert relay("--json").json["sent"] == 12
    at_the_server(server, lambda context: context.delete_stream(STREAM))
    assert relay("--after", "8", "--json").json["sent"] == 4


def test_what_is_sent_and_where_is_the_askers_choice(relay: Relay, ledger: Ledger, server: NatsServer) -> None:
    record(ledger, 3)
    ledger.create_key(owner="human:ada", scopes=["runs:read"], label="a")
    mine = ["--stream", "MINE", "--subject", "mine.{type}.{thread}", "--type", "message.*"]
    assert relay(*mine, "--format", "cloudevents", "--content", "thin", "--json").json["sent"] == 3
    thread_id = ledger.events(limit=1)[0].thread_id
    kept = server.messages("MINE")
    assert [each.subject for each in kept] == [f"mine.message.added.{thread_id}"] * 3
    body = json.loads(kept[0].body)
    assert (body["specversion"], body["id"], "content" in body["data"]) == ("1.0", kept[0].id, False)
    assert kept[0].headers["Content-Type"] == "application/cloudevents+json"
    relay()
    assert difference(wanted_ids(ledger), ids(server)) == ""
    assert relay("--stream", "KEYS", "--subject", "keys.{type}", "--type", "security.*", "--json").json["sent"] == 1


def test_an_event_that_is_too_large_for_the_server_is_sent_thin(relay: Relay, ledger: Ledger, server: NatsServer) -> None:
    run = ledger.create_thread(agent_id="a").start_run()
    run.add_message("user", "x" * 1_200_000)
    run.add_message("user", "y")
    assert relay("--json").json["sent"] == 5
    large, small = (json.loads(each.body) for each in server.messages(STREAM)[3:])
    assert ("data" in large, large["position"], "data" in small) == (False, 4, True)


def test_a_ledger_that_was_put_back_goes_on_where_both_part(
    relay: Relay, ledger: Ledger, server: NatsServer, database: TestDatabase
) -> None:
    record(ledger, 5)
    relay()
    put_back(database, 4)
    record(ledger, 1)
    assert relay("--json").json["sent"] == 4
    found = [each.headers["Runfold-Cursor"].partition("@") for each in server.messages(STREAM)]
    assert [int(position) for position, _, _ in found] == [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8]
    assert len({epoch for _, _, epoch in found}) == 2


def test_a_stream_of_another_ledger_or_of_somebody_else_is_refused(
    relay: Relay, runfold: Command, ledger: Ledger, server: NatsServer, new_database: Callable[[], TestDatabase]
) -> None:
    record(ledger, 1)
    relay()
    with Ledger.open(settings=new_database().settings) as other:
        record(other, 1)
        refused = runfold("relay", "nats", "--once", "--database-url", other.database.url)
    assert (refused.code, "holds events of another ledger" in refused.err) == (1, True), refused.err
    at_the_server(server, lambda context: context.publish("runfold.default.run.odd", b"{}"))
    assert "that no relay of Runfold has sent; choose another --subject" in relay().err
    (failing,) = [each for each in ledger.reactors() if each.name.startswith("relay.")]
    assert (failing.state, "no relay of Runfold" in (failing.error or "")) == ("failing", True)


def test_what_cannot_be_is_said_clearly(
    relay: Relay, runfold: Command, ledger: Ledger, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(ledger, 1)
    for name, given in {
        "TAKES": {"subjects": ["other.>"]},
        "QUEUE": {"subjects": ["runfold.default.>"], "retention": RetentionPolicy.WORK_QUEUE},
    }.items():
        config = StreamConfig(name=name, **given)  # type: ignore[arg-type]
        at_the_server(server, lambda context, config=config: context.add_stream(config))
    for options, code, said in (
        (("--stream", "TAKES"), 1, "that takes other.>, and not runfold.default.*.*"),
        (("--stream", "QUEUE"), 1, "that drops messages that were consumed"),
        ((), 1, "has another stream that takes messages under runfold.default.*.*"),
        (("--stream", "a b"), 2, "is no name of a stream"),
        (("--subject", "a.{run}"), 2, "is no pattern for subjects"),
        (("--url", "http://127.0.0.1"), 2, "--url is no nats://"),
        (("--url", "nats://u:secret@127.0.0.1:9"), 1, "nats://127.0.0.1:9 is no NATS server that answers"),
        (("--after", "99"), 2, "is beyond the ledger"),
    ):
        refused = relay(*options)
        assert (refused.code, said in refused.err, "secret" in refused.err) == (code, True, False), refused.err
    monkeypatch.delenv("RUNFOLD_NATS_URL")
    assert "no NATS server is named; give --url" in relay().err


def test_credentials_come_from_settings_and_wrong_ones_are_named(
    runfold: Command, ledger: Ledger, tmp_path: Path, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guarded").mkdir()
    guarded = NatsServer(tmp_path / "guarded", "--user", "relay", "--pass", "hidden-word")
    guarded.start()
    try:
        monkeypatch.setenv("RUNFOLD_NATS_URL", guarded.url)
        record(ledger, 1)
        refused = runfold("relay", "nats")
        assert (refused.code, "does not accept these credentials; set RUNFOLD_NATS_USER" in refused.err) == (1, True), refused.err
        monkeypatch.setenv("RUNFOLD_NATS_USER", "relay")
        monkeypatch.setenv("RUNFOLD_NATS_PASSWORD", "hidden-word")
        assert runfold("relay", "nats", "--once").out.startswith("4 events sent")
        assert "hidden-word" not in runfold("doctor").out
    finally:
        guarded.kill()


def test_one_relays_and_others_wait_and_it_ends_at_once(
    relay: Relay, started: Process, ledger: Ledger, server: NatsServer
) -> None:
    record(ledger, 3)
    first = started(["relay", "nats", "--json"])
    try:
        until(lambda: server.count(STREAM) == 6)
        until(lambda: "is carried out by another process just now" in relay().err)
        record(ledger, 2)
        until(lambda: server.count(STREAM) == 11)
        server.kill()
        record(ledger, 1)
        server.start()
        until(lambda: server.count(STREAM) == 15)
        first.send_signal(signal.SIGTERM)
        out, said = first.communicate(timeout=60)
    finally:
        if first.poll() is None:
            first.kill()
            first.communicate()
    assert (first.returncode, json.loads(out)["sent"]) == (0, 15), said
    assert relay("--json").json["sent"] == 0
    assert difference(wanted_ids(ledger), ids(server)) == ""


@pytest.mark.fault("relay")
def test_everything_comes_once_though_both_are_killed_again_and_again(
    settings: Settings, ledger: Ledger, server: NatsServer, tmp_path: Path, database: TestDatabase
) -> None:
    relaying = RelayProcess(settings, server, tmp_path)
    relaying.start()
    killer = Killer(server, relaying, 100, 2, random.Random(20_261_129))  # noqa: S311
    try:
        with psycopg.connect(database.admin_url, autocommit=True) as connection:

            def has_come() -> bool:
                connection.execute("UPDATE runfold.reactors SET worker = NULL")  # who was killed keeps nobody waiting
                has_all, is_done = killer.look() >= ledger.position(), not any(killer.left.values())
                if has_all and not is_done:
                    record(ledger, 600)
                return has_all and is_done

            until(has_come, 120, relaying.log.read_text)
        wanted = wanted_ids(ledger)
        assert difference(wanted, [each.id for each in server.messages("FAULTS")]) == ""
    finally:
        relaying.kill()


def test_what_is_wrong_with_a_stream_would_be_found() -> None:
    assert difference(["a", "b"], ["a", "b"]) == ""
    assert difference(["a", "b"], ["b", "a"]) == "of 2 events: another order"
    assert difference(["a", "b"], ["a", "a", "c"]) == "of 2 events: 1 missing, 1 unknown, 1 twice"
