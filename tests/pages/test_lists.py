"""Runs and events as pages, asked as a browser asks them: what is shown, and what bad addresses get."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx2
import psycopg
import pytest

from runfold import Ledger
from runfold.pages.words import moment
from tests.databases import TestDatabase
from tests.pages.browser import sign_in
from tests.pages.recorded import HOSTILE, MODELS, record


@pytest.fixture(scope="module")
def client(served: str, served_ledger: Ledger) -> Iterator[httpx2.Client]:
    """Somebody who is signed in, at a ledger with runs."""
    record(served_ledger)
    with httpx2.Client(base_url=served) as client:
        assert client.get(f"/ui/login?token={sign_in(served_ledger)}").status_code == 303
        yield client


def page(client: httpx2.Client, path: str, status: int = 200) -> str:
    """A page's HTML."""
    answer = client.get(path)
    assert (path, answer.status_code) == (path, status)
    return answer.text


def test_the_list_of_runs_says_which_of_how_many_it_shows_and_goes_on(client: httpx2.Client, served_ledger: Ledger) -> None:
    total = served_ledger.now.count_runs().runs
    shown = page(client, "/ui/runs?limit=3")
    assert f"Runs 1 to 3 of {total}" in shown
    following = shown.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert f"Runs 4 to 6 of {total}" in page(client, following)
    assert "row=4" in following
    assert "Runs 1 to 3 of" in page(client, following.partition("?")[0] + "?limit=3")


def test_filters_are_those_of_the_list_and_stand_in_the_address(client: httpx2.Client) -> None:
    shown = page(client, "/ui/runs?status=failed&from=2026-10-01&to=2026-10-31&order_by=duration")
    assert "Runs 1 to 4 of 4" in shown
    assert shown.index("run_wrong_3") < shown.index("run_wrong_2") < shown.index("run_wrong_0")
    assert "run_claim" not in shown
    redirected = client.get("/ui/runs?status=&agent_id=support&duration_ns=90s&duration_operator=gt")
    assert redirected.status_code == 303
    assert redirected.headers["location"] == "/ui/runs?agent_id=support&duration_ns=90000000000&duration_operator=gt"


@pytest.mark.parametrize("odd", ["a\u202eb", "zero\u200bwidth", "so\xadft"])
def test_a_filter_that_is_sent_again_is_the_same_whatever_is_in_it(
    client: httpx2.Client, served_ledger: Ledger, odd: str
) -> None:
    served_ledger.create_thread(agent_id=odd).start_run()
    served_ledger.fold("run_summaries", "threads")
    shown = page(client, f"/ui/runs?{urlencode({'agent_id': odd})}")
    assert "Runs 1 to 1 of 1" in shown
    assert shown.count(f'name="agent_id" value="{odd}"') == 3, "in the form of filters, of the moment and of the sample"


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/ui/runs?nobody=1", 400, "unknown parameter"),
        ("/ui/runs?status=gone", 400, "unknown status"),
        ("/ui/runs?limit=500", 400, "limit takes a whole number from 1 to 200"),
        ("/ui/runs?from=yesterday", 400, "from takes a time"),
        ("/ui/runs?cursor=WyJydW5z", 400, "invalid cursor"),
        ("/ui/runs?cursor=%00%01", 400, "cursor"),
        ("/ui/runs?row=0", 400, "row takes a whole number"),
        ("/ui/runs?order_by=anything", 400, "unknown order_by"),
        ("/ui/runs?at=99999999", 400, "is not in the ledger"),
        ("/ui/runs?at=never", 400, "neither a position nor a time"),
        ("/ui/runs/run_nobody", 404, "run_nobody"),
        ("/ui/runs/run_claim?at=1", 404, "was not in the ledger as of position 1"),
        ("/ui/runs/run_claim?bar=0", 400, "bar takes a whole number"),
        ("/ui/runs/sample?n=5", 400, "a seed has 1 to 200 characters"),
        ("/ui/runs/sample?n=many&amp;seed=x", 400, "unknown parameter"),
        ("/ui/runs/sample?n=many&seed=x", 400, "n takes a whole number"),
        ("/ui/runs/export?format=xlsx", 400, "unknown export format"),
        ("/ui/events?type=nothing.at.all", 400, "unknown event type"),
        ("/ui/events?up_to=x", 400, "up_to takes a position"),
        ("/ui/events?after=1@ffffffff", 409, "history"),
        ("/ui/events?order=sideways", 400, "order is asc or desc"),
        ("/ui/events?run_id=run_nobody", 404, "run_nobody"),
        ("/ui/events?thread_id=%E2%80%AE", 404, "thread"),
        ("/ui/search?q=%22%22", 400, "nothing to search for"),
        ("/ui/search?q=" + "x" * 1001, 400, "a search has at most 1,000 characters"),
        ("/ui/search?q=a&kind=nothing", 400, "unknown kind"),
        ("/ui/search?q=parcel&cursor=WyJydW5z", 400, "invalid cursor"),
        ("/ui/search?q=parcel&thread_id=thread_nobody&at=3", 200, "Nothing is found"),
        ("/ui/events/0", 404, "No such event"),
        ("/ui/events/99999999", 404, "is beyond the ledger"),
        ("/ui/events/5?at=3", 404, "is after the moment"),
        ("/ui/events/-1", 400, "a position is a whole number"),
        ("/ui/events/9999999999999999999999999", 400, "a position is a whole number"),
    ],
)
def test_a_bad_address_is_a_page_that_says_so_and_leads_on(client: httpx2.Client, path: str, status: int, said: str) -> None:
    shown = page(client, path, status)
    assert said in shown
    assert 'href="/ui' in shown.partition("<main")[2]


def test_the_past_is_shown_as_it_was(client: httpx2.Client, served_ledger: Ledger) -> None:
    then = served_ledger.now.run("run_wrong_2").position
    shown = page(client, f"/ui/runs?thread_id=thread_wrong&at={then}")
    assert "run_wrong_2" in shown
    assert "run_wrong_3" not in shown
    assert "As it was" in shown
    assert f"/ui/runs/run_wrong_2?at={then}" in shown
    assert "was not in the ledger as of position 0" in page(client, "/ui/runs?thread_id=thread_wrong&at=0", 404)


def test_runs_of_the_list_come_as_files_with_a_manifest(client: httpx2.Client) -> None:
    answer = client.get("/ui/runs/export?format=jsonl&status=failed")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="runs-jsonl-at-')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        said = json.loads(archive.read("run_summaries/manifest.json"))
        assert (said["rows"], said["filters"]) == (4, {"status": ["failed"]})
        assert len(archive.namelist()) == 2


def test_a_sample_is_drawn_shown_and_taken_along_the_same(client: httpx2.Client, served_ledger: Ledger) -> None:
    drawn = served_ledger.now.sample_runs("2026-Q3", n=3, status=["failed", "completed"])
    shown = page(client, "/ui/runs/sample?n=3&seed=2026-Q3&status=failed&status=completed")
    assert f"3 of {drawn.population} runs" in shown
    assert all(run.digest in shown for run in drawn.runs)
    answer = client.get("/ui/runs/sample/export?n=3&seed=2026-Q3&status=failed&status=completed")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        said = json.loads(archive.read("sample/manifest.json"))
        assert [run["run_id"] for run in said["runs"]] == [run.run_id for run in drawn.runs]
        assert said["population"] == drawn.population
        assert sorted(archive.namelist()) == ["sample/manifest.json", *(f"sample/run-0000{each}.jsonl" for each in (1, 2, 3))]


def test_a_run_shows_what_took_time_who_allowed_what_and_what_it_used(client: httpx2.Client) -> None:
    shown = page(client, "/ui/runs/run_claim")
    for words in ("look up the order", "find_order", "waits for approval", "policy-reader", "gpt-4o", "812", "human:grace"):
        assert words in shown
    assert shown.count('class="bar ') == 4
    assert 'class="fold"' in shown
    assert "refund order 95319 in full" in shown


def test_an_event_of_any_type_has_a_page(client: httpx2.Client, served_ledger: Ledger) -> None:
    served_ledger.thread("thread_claim").rename("A claim")
    found = {recorded.type: recorded.position for recorded in served_ledger.events(limit=1000)}
    assert {"thread.created", "thread.renamed", "run.created", "approval.granted", "security.key_created"} <= found.keys()
    for name, position in found.items():
        assert name in page(client, f"/ui/events/{position}")


def test_what_a_page_shows_can_be_typed_into_its_fields(client: httpx2.Client, served_ledger: Ledger) -> None:
    served_ledger.thread("thread_claim").start_run(run_id="run_of@two", kind="branches", parent="run_claim")
    position = served_ledger.position()
    now, begin = moment(served_ledger.head().recorded_at), "2020-01-31 09:30"
    for time in (now, begin, f" {now} "):
        for path in ("/ui/runs?from=", "/ui/events?from=", "/ui/threads?to=", "/ui/search?q=x&from=", "/ui/runs/run_claim?at="):
            if (path, time) != ("/ui/runs/run_claim?at=", begin):
                answer = client.get(f"{path}{quote(time)}", follow_redirects=True)
                assert (path, time, answer.status_code) == (path, time, 200)
    assert client.get(f"/ui/threads/thread_claim?when={quote(now)}").status_code == 303
    assert client.get(f"/ui/events?go={quote('1,234')}").headers["location"] == "/ui/events/1234"
    assert "takes a whole number" not in page(client, f"/ui/runs?steps={quote('1,234')}", 303)
    for side in (
        "run_claim",
        " run_claim",
        f"run_claim @{position}",
        f"run_of@two@{position}",
        f"thread_claim/main @ {position}",
    ):
        page(client, f"/ui/diff?{urlencode({'a': side, 'b': 'run_of@two'})}")
    page(client, f"/ui/runs/run_claim?at={quote(f' {position} ')}")
    page(client, f"/ui/runs/sample?seed=q&n={quote('1,000')}")
    page(client, f"/ui/runs?at={quote('1,234,567')}", 400)  # which is not in the ledger
    assert "position 1,234,567 is not" in page(client, "/ui/runs?at=1,234,567", 400).replace("1234567", "1,234,567")


def test_an_event_is_shown_whole_with_its_neighbours(client: httpx2.Client, served_ledger: Ledger) -> None:
    (event,) = served_ledger.events(types="approval.granted")
    shown = page(client, f"/ui/events/{event.position}")
    assert "approval.granted" in shown
    assert "approval.vote_cast" in shown
    assert f"after={event.position - 1}&amp;up_to={event.position}" in shown
    assert f"/ui/threads/thread_claim?run=run_claim&amp;at={event.position}" in shown
    assert client.get(f"/ui/events?go={event.position}").headers["location"] == f"/ui/events/{event.position}"
    assert "from=2026-01-01" in client.get("/ui/events?go=2026-01-01").headers["location"]
    narrowed = "run_id=run_claim&type=message.*"
    shown = page(client, f"/ui/events?{narrowed}&from=2026-10-01&up_to=99")
    jump = shown.partition('aria-label="Jump"')[2].partition("</form>")[0]
    assert re.findall(r'name="(\w+)" value="(.*?)"', jump) == [("type", "message.*"), ("run_id", "run_claim")]
    leads = client.get(f"/ui/events?{narrowed}&go=2026-01-01").headers["location"]
    assert dict(parse_qsl(urlsplit(leads).query)) == {
        "run_id": "run_claim",
        "type": "message.*",
        "from": "2026-01-01",
        "order": "asc",
    }


def test_events_are_walked_from_the_last_to_the_first_and_back(client: httpx2.Client, served_ledger: Ledger) -> None:
    seen, address = [], "/ui/events?run_id=run_claim&limit=5"
    while address:
        shown = page(client, address)
        rows = shown.partition("<tbody>")[2].partition("</tbody>")[0]
        seen += [int(part.partition('"')[0].partition("?")[0]) for part in rows.split('href="/ui/events/')[1:]]
        address = shown.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
        address = address if 'rel="next"' in shown else ""
    assert seen == [event.position for event in served_ledger.events(run_id="run_claim", order="desc")]


@pytest.mark.parametrize("beyond", ["at=0", "up_to=5&after=10"])
def test_where_no_event_can_be_nothing_is_said_to_have_been_looked_through(client: httpx2.Client, beyond: str) -> None:
    shown = page(client, f"/ui/events?{beyond}")
    assert "No event is found here." in shown
    assert "looked through" not in shown


def test_beyond_the_last_item_of_a_thread_it_is_said_how_many_there_are_and_the_last_ones_are_a_step_away(
    client: httpx2.Client, served_ledger: Ledger
) -> None:
    count = served_ledger.now.items("thread_claim").count
    shown = page(client, "/ui/threads/thread_claim?first=5000")
    assert f"there is no item 5,000: there are {count}" in shown
    earlier = shown.partition('rel="prev"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert f"items 1 to {count} of {count}" in page(client, f"/ui/threads/thread_claim{earlier}")


def test_what_is_searched_for_is_marked_and_leads_to_where_it_was_said(client: httpx2.Client, served_ledger: Ledger) -> None:
    shown = page(client, "/ui/search?q=parcel&thread_id=thread_wrong")
    assert shown.count("<mark>parcel</mark>") == 1
    (reported,) = served_ledger.events(types="problem.reported", thread_id="thread_wrong")
    assert f"/ui/threads/thread_wrong?run=run_wrong_3&amp;at={reported.position}&amp;item={reported.position}" in shown
    assert "<mark>script</mark>" in page(client, "/ui/search?q=script")
    following = page(client, "/ui/search?q=courier&limit=2")
    assert "Found 1 to 2" in following
    address = following.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "Found 3 to 4" in page(client, address)


def test_text_of_agents_stays_text_everywhere(client: httpx2.Client, served_ledger: Ledger) -> None:
    position = served_ledger.now.run("run_strange").position
    for path in (
        "/ui/runs",
        "/ui/runs/run_strange",
        "/ui/events?run_id=run_strange",
        f"/ui/events/{position}",
        "/ui/search?q=evil",
    ):
        shown = page(client, path)
        assert "<img" not in shown
        assert "evil.example><button" not in shown
        assert shown.count("<script") == 1
        assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(shown)
    assert "⟨U+202E⟩gnp.exe" in page(client, "/ui/runs")
    assert HOSTILE[2].partition("<form")[0].replace("<", "&lt;").replace(">", "&gt;") in page(client, "/ui/runs/run_strange")


def test_a_megabyte_in_one_line_is_cut_and_all_of_it_is_there_to_be_asked_for(
    client: httpx2.Client, served_ledger: Ledger
) -> None:
    run = served_ledger.create_thread(agent_id="long").start_run(run_id="run_long")
    run.add_message("user", "x" * 1_000_000)
    position = run.view().position
    shown = page(client, f"/ui/events/{position}")
    assert len(shown) < 100_000
    assert "show all of it" in shown
    assert len(page(client, f"/ui/events/{position}?all=1")) > 1_000_000
    assert len(page(client, "/ui/events?run_id=run_long")) < 30_000


def test_long_texts_of_approvals_inputs_and_outputs_are_cut_and_changes_in_them_are_shown(
    client: httpx2.Client, served_ledger: Ledger
) -> None:
    text = "".join(f"line {number} of the file\n" for number in range(9000))
    run = served_ledger.create_thread(agent_id="long", thread_id="thread_file").start_run(run_id="run_file", input={"text": text})
    asked = run.request_approval("write", arguments={"text": text})
    asked.grant(actor="human:ada", arguments={"text": text.replace("line 77 of", "line 7700 of")})
    run.complete(output={"text": text})
    served_ledger.fold(*MODELS)
    of_run, replay = page(client, "/ui/runs/run_file"), page(client, "/ui/threads/thread_file")
    assert len(of_run) < 200_000
    assert of_run.count("its event holds all") == 4
    assert len(replay) < 60_000
    assert "all of both</a>" in replay
    assert ("<del>77</del>" in replay, "<ins>7700</ins>" in replay) == (True, True)
    item = re.findall(r"item=(\d+)&amp;whole=\1", replay.partition("all of both</a>")[0])[-1]
    assert len(page(client, f"/ui/threads/thread_file?item={item}&whole={item}")) > len(text)


def test_who_may_read_runs_alone_is_shown_their_events_and_not_the_whole_log(
    client: httpx2.Client, served: str, served_ledger: Ledger
) -> None:
    with httpx2.Client(base_url=served) as reader:
        reader.get(f"/ui/login?token={sign_in(served_ledger, scopes=('runs:read',))}")
        assert "Not allowed" in page(reader, "/ui/events", 403)
        made = served_ledger.events(types="security.key_created")[-1].position
        assert page(reader, f"/ui/events/{made}", 404)
        assert "run.created" in page(reader, "/ui/events?run_id=run_claim")
        said = served_ledger.events(types="message.added", run_id="run_claim")[0].position
        assert "Please refund" in page(reader, f"/ui/events/{said}")
        assert "run_claim" in page(reader, "/ui/runs")


def test_another_tenants_ids_are_not_there(client: httpx2.Client, served: str, served_ledger: Ledger) -> None:
    with httpx2.Client(base_url=served) as other:
        other.get(f"/ui/login?token={sign_in(served_ledger, tenant='neighbour')}")
        said = served_ledger.events(types="message.added", run_id="run_claim")[0].position
        for path in (
            "/ui/runs/run_claim",
            f"/ui/events/{said}",
            "/ui/events?run_id=run_claim",
            "/ui/events?thread_id=thread_claim",
        ):
            assert "refund" not in page(other, path, 404)
        assert "Nothing is found" in page(other, "/ui/search?q=refund")
        assert "Runs none" in page(other, "/ui/runs")
        assert "0 of 0 runs" in page(other, "/ui/runs/sample?seed=x")
        with zipfile.ZipFile(io.BytesIO(other.get("/ui/runs/export?format=csv").content)) as archive:
            assert archive.namelist() == ["run_summaries/manifest.json"]


def test_an_event_that_only_a_newer_runfold_knows_is_shown_as_it_is_stored(
    client: httpx2.Client, served_ledger: Ledger, shared_database: TestDatabase
) -> None:
    with psycopg.connect(shared_database.admin_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE runfold.log DISABLE TRIGGER ALL")
        told = served_ledger.events(types="message.added", run_id="run_strange")[-1].position
        connection.execute("UPDATE runfold.log SET topic = 'message.sung' WHERE notification_id = %s", [told])
        try:
            assert "Only a newer Runfold knows this event" in page(client, f"/ui/events/{told}")
            assert "message.sung" in page(client, "/ui/events?run_id=run_strange")
        finally:
            connection.execute("UPDATE runfold.log SET topic = 'message.added' WHERE notification_id = %s", [told])
            connection.execute("ALTER TABLE runfold.log ENABLE TRIGGER ALL")
