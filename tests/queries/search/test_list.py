"""Searching: what is found is what a look through all words finds, narrowed, in pages, now and as of any moment."""

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from unicodedata import normalize

import psycopg
import pytest

from runfold import Ledger, Run, Settings
from runfold.errors import UsageError
from runfold.projections.words import labels as search_labels
from runfold.projections.words.splitting import words_in
from runfold.projector.tables import generations
from runfold.queries.lists.paging import cursor_of
from runfold.queries.reading import Reading
from runfold.queries.search import list as search_list
from runfold.queries.search.list import Hit
from runfold.queries.search.text import Term, wanted_of
from runfold.store.datastore import Datastore
from tests.databases import TestDatabase, fresh_database
from tests.projections.pieces import any_text

THREADS, ITEMS = 4, 160

Texts = dict[str, list[str]]
"""By item, what was said in it."""


@pytest.fixture(scope="module")
def many(admin_url: str, template: str) -> Iterator[tuple[Ledger, Texts]]:
    """A ledger with hard texts, folded. Only to be read."""
    chance, texts = random.Random(11), Texts()  # noqa: S311  texts, not secrets
    with fresh_database(admin_url, template, "search") as made, Ledger.open(settings=made.settings) as ledger:
        runs = [ledger.create_thread(agent_id=f"agent{number}").start_run() for number in range(THREADS)]
        with ledger.batch() as batch:
            for number in range(ITEMS):
                run, said = batch.run(chance.choice(runs).id), [any_text(chance) for _ in range(2)]
                texts[f"item{number}"] = said
                if number % 2:
                    run.call_tool("x", said[0], call_id=f"item{number}").succeed(said[1])
                else:
                    message = run.add_message("user", said[0], message_id=f"item{number}", streaming=number % 4 == 0)
                    if number % 4:
                        message.revise(said[1])
                    else:
                        for piece in (said[1][:5], said[1][5:]):
                            message.append_text(piece)
                        texts[f"item{number}"] = ["".join(said)]
                        message.seal()
        ledger.fold("search")
        yield ledger, texts


def every_hit(reading: Reading, words: str, limit: int = 7, **asked: Any) -> list[Hit]:
    """All that is found, page by page."""
    found: list[Hit] = []
    page = reading.search(words, limit=limit, **asked)
    while True:
        assert len(page.items) <= limit
        found += page.items
        if page.next_cursor is None:
            return found
        page = reading.search(words, limit=limit, cursor=page.next_cursor, **asked)


def is_there(term: Term, texts: list[str]) -> bool:
    """Without an index: whether the words follow each other in one of the texts."""
    for text in texts:
        words = [word.text for word in words_in(text)]
        for start in range(len(words) - len(term.words) + 1):
            *whole, end = zip(words[start:], term.words, strict=False)
            if all(one == other for one, other in whole) and (end[0].startswith if term.is_beginning else end[0].__eq__)(end[1]):
                return True
    return False


def test_what_is_found_is_what_a_look_through_the_words_finds(many: tuple[Ledger, Texts]) -> None:
    ledger, texts = many
    chance, asked = random.Random(3), 0  # noqa: S311
    for _ in range(120):
        words = chance.choice([" ", "", " OR ", " -"]).join(any_text(chance, 3) for _ in range(chance.randrange(1, 4)))
        try:
            wanted = wanted_of(words)
        except UsageError:
            continue
        asked += 1
        expected = {
            item
            for item, said in texts.items()
            if all(any(is_there(term, said) for term in group) for group in wanted.groups)
            and not any(is_there(term, said) for term in wanted.excluded)
        }
        found = every_hit(ledger.now, words, limit=50)
        assert {hit.id for hit in found} == expected, words
        assert len(found) == len(expected)
        for hit in found:
            (start, end), *_ = hit.excerpt.marks
            is_cut = end == len(hit.excerpt.text)
            assert is_cut or any(is_there(term, [hit.excerpt.text[start:end]]) for term in wanted.terms)
    assert asked > 80


@pytest.fixture
def runs(ledger: Ledger) -> list[Run]:
    return [ledger.create_thread(agent_id=agent).start_run(goal={"id": f"of_{agent[:5]}"}) for agent in ("support", "sales's")]


def ids(reading: Reading, words: str, **asked: Any) -> list[str]:
    return [hit.id for hit in every_hit(reading, words, **asked)]


def test_a_search_is_narrowed_as_other_lists_are(ledger: Ledger, runs: list[Run]) -> None:
    one, other = runs
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    first = one.add_message("user", "tea please", occurred_at=noon)
    second = other.add_message("user", "tea please", occurred_at=noon + timedelta(days=1))
    branch = one.branch()
    branch.message(first.id).revise("tea and cake")
    call = other.call_tool("kettle", {"for": "tea"}, occurred_at=noon + timedelta(days=2))
    ledger.fold("search")
    now = ledger.now
    assert ids(now, "tea") == [call.id, second.id, first.id]
    assert ids(now, "tea", kind="message") == [second.id, first.id]
    assert ids(now, "tea", thread_id=one.view().thread_id) == [first.id]
    assert ids(now, "tea", run_id=[one.id, other.id]) == [call.id, second.id, first.id]
    assert ids(now, "tea", agent_id="sales's") == ids(now, "tea", goal_id="of_sales") == [call.id, second.id]
    assert ids(now, "tea", happened_from=noon + timedelta(hours=1), happened_to=noon + timedelta(days=1)) == [second.id]
    assert ids(now, "cake", run_id=branch.id) == [first.id]
    assert ids(now, "cake", run_id=one.id) == []
    assert ids(now, "please", run_id=branch.id) == []
    (hit,) = now.search("cake", run_id=branch.id).items
    assert (hit.run_id, hit.revision, hit.agent_id, hit.place) == (branch.id, 2, "support", "content")
    assert (hit.excerpt.text, hit.excerpt.marks) == ("tea and cake", ((8, 12),))


def test_a_hit_says_where_it_stands(ledger: Ledger, runs: list[Run]) -> None:
    run = runs[0]
    streamed = run.add_message("assistant", streaming=True)
    for text in ("a long way to ", "the very word", " and beyond"):
        receipt = streamed.append_text(text)
    run.call_tool("grep", {"path": "src/app_main.py"}).succeed({"lines": "x" * 500 + " needle " + "y " * 500})
    ledger.fold("search")
    (hit,) = ledger.now.search("very").items
    assert hit.position == receipt.position - 1
    (hit,) = ledger.now.search("app_main.py").items
    assert (hit.place, hit.position) == ("arguments", ledger.position() - 1)
    (hit,) = ledger.now.search("needle").items
    assert (hit.place, hit.position, hit.is_cut) == ("result", ledger.position(), False)
    (start, end), *_ = hit.excerpt.marks
    assert hit.excerpt.text[start:end] == "needle"
    assert hit.excerpt.start > 400
    assert hit.excerpt.left > 500


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_are_found_however_they_are_written(ledger: Ledger, runs: list[Run], form: Literal["NFC", "NFD"]) -> None:
    said = normalize(form, "see Bücher/Prüfung_ガス.pdf, per favore")
    runs[0].add_message("user", said, message_id="whole")
    streamed = runs[0].add_message("assistant", "", message_id="streamed", streaming=True)
    for character in said:
        streamed.append_text(character)
    streamed.seal()
    ledger.fold("search")
    for words in ("prüfung", "Bücher/Prüfung", "ガス", "prüf*"):
        for typed in (normalize("NFC", words), normalize("NFD", words)):
            hits = every_hit(ledger.now, typed)
            assert [hit.id for hit in hits] == ["streamed", "whole"], typed
            start, end = hits[0].excerpt.marks[0]
            assert normalize("NFC", said[start:end]).casefold().startswith(words.strip("*").casefold())
    assert not every_hit(ledger.now, "prufung")


def test_what_was_redacted_is_found_by_nobody_as_of_any_moment(ledger: Ledger, runs: list[Run]) -> None:
    run = runs[0]
    thread_id, message = run.view().thread_id, run.add_message("user", "the secret word")
    kept = run.add_message("user", "no secret")
    before, then = ledger.position(), ledger.events()[-1].happened_at
    ledger.fold("search")
    ledger.rebuild("search")
    for reading in (ledger.now, ledger.at(before)):
        assert ids(reading, "secret") == [kept.id, message.id]
    message.redact(legal_basis="gdpr")
    for bring_on in (lambda: None, lambda: ledger.fold("search"), lambda: ledger.roll_back("search")):
        bring_on()
        for reading in (ledger.now, ledger.at(before)):
            assert ids(reading, "secret") == ids(reading, "secret", thread_id=thread_id) == [kept.id]
        assert ids(ledger.happened_at(then), "secret", thread_id=thread_id) == [kept.id]


def test_as_of_a_moment_it_finds_what_was_there(ledger: Ledger, runs: list[Run]) -> None:
    run = runs[0]
    found = [run.add_message("user", f"tea number{number}").id for number in range(30)]
    ledger.fold("search")
    for at in (3, ledger.position() - 7, ledger.position()):
        expected = found[: max(0, at - ledger.position() + 30)][::-1]
        assert ids(ledger.at(at), "tea", thread_id=run.view().thread_id) == expected
    assert ids(ledger.at(ledger.position() - 7), "tea") == found[:-7][::-1]
    assert ids(ledger.at(ledger.position()).happened_at(datetime.now(UTC)), "number3", run_id=run.id) == [found[3]]


def test_no_tenant_finds_anothers_words(ledger: Ledger, runs: list[Run], settings: Settings) -> None:
    runs[0].add_message("user", "the default secret")
    with Ledger.open(settings=settings.model_copy(update={"tenant": "other"})) as other:
        message = other.create_thread(agent_id="support").start_run().add_message("user", "the other secret")
        ledger.fold("search")
        assert ids(other.now, "secret") == [message.id]
        assert len(ids(ledger.now, "secret")) == 1
    reader = Datastore(settings.database_url.get_secret_value() if settings.database_url else "")
    with closing(reader), reader.reading("other") as connection:
        call = "SELECT item_id FROM runfold_search_1.search_with_words('secret', '{}', '{}', '{}', '{}', NULL, NULL, 1, 99, 9)"
        assert [row["item_id"] for row in connection.execute(call)] == [message.id]


def test_a_word_is_found_however_far_apart_its_items_are(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_labels, "SMALL", 1)
    monkeypatch.setattr(search_labels, "LARGE", 3)
    monkeypatch.setattr(search_labels, "_AT_ONCE", 4)
    monkeypatch.setattr(search_list, "SMALL", 1)
    monkeypatch.setattr(search_list, "_WIDEST", 8)
    run, chance = ledger.create_thread(agent_id="support").start_run(), random.Random(2)  # noqa: S311
    with ledger.batch() as batch:
        into = batch.run(run.id)
        messages = [
            (into.add_message("user", f"common {'rare' if number in rare else ''} {chance.choice(['red', 'blue'])}").id, number)
            for rare in [{3, 150, 151, 298}]
            for number in range(300)
        ]
    ledger.fold("search")
    assert ids(ledger.now, "rare") == [messages[number][0] for number in (298, 151, 150, 3)]
    assert ids(ledger.now, "common") == [found for found, _ in reversed(messages)]
    assert sorted(ids(ledger.now, "red") + ids(ledger.now, "blue")) == sorted(found for found, _ in messages)


@pytest.mark.parametrize(
    "cursor", ["x", cursor_of(["search"]), cursor_of(["runs", 5]), cursor_of(["search", -1]), cursor_of(["search", "5"])]
)
def test_what_is_no_cursor_of_a_search_is_refused(ledger: Ledger, cursor: str) -> None:
    ledger.fold("search")
    with pytest.raises(UsageError, match="invalid cursor"):
        ledger.now.search("tea", cursor=cursor)


@pytest.mark.parametrize("later_from", [1, 10_000])
def test_words_have_their_index_however_much_there_was_to_fold(
    ledger: Ledger, runs: list[Run], monkeypatch: pytest.MonkeyPatch, later_from: int
) -> None:
    monkeypatch.setattr(generations, "LATER_FROM", later_from)
    message = runs[0].add_message("user", "tea")
    ledger.fold("search")
    for generation in (1, 2):
        with ledger.recorder.store.reading() as connection:
            found = connection.execute(
                "SELECT amname FROM pg_am JOIN pg_class ON relam = pg_am.oid AND relkind = 'i'"
                " WHERE relnamespace = %s::regnamespace",
                [f"runfold_search_{generation}"],
            ).fetchall()
        assert sorted(row["amname"] for row in found) == ["btree", "gin"]
        assert ids(ledger.now, "tea") == [message.id]
        ledger.rebuild("search", processes=1)


@pytest.mark.fault("K6")
def test_what_asks_past_row_security_is_for_the_application_alone_and_asks_whose_rows_it_may_show(
    ledger: Ledger, runs: list[Run], database: TestDatabase
) -> None:
    message = runs[0].add_message("user", "tea")
    ledger.fold("search")
    call = "SELECT item_id FROM runfold_search_1.search_with_words('tea', '{}', '{}', '{}', '{}', NULL, NULL, 1, 99, 9)"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        found = admin.execute(
            "SELECT pg_get_userbyid(proowner), prosecdef, 'search_path=pg_catalog, pg_temp' = ANY (proconfig),"
            " has_function_privilege('public', oid, 'EXECUTE'), has_function_privilege('runfold_reader', oid, 'EXECUTE')"
            " FROM pg_proc WHERE proname = 'search_with_words'"
        ).fetchall()
        assert found == [("runfold_projector", True, True, False, False)]
    with psycopg.connect(database.url, autocommit=True) as app:
        assert app.execute("SELECT current_user").fetchone() == ("runfold_app",)
        with pytest.raises(psycopg.errors.UndefinedObject):
            app.execute(call)
        for tenant, shown in (("other", []), ("default", [(message.id,)]), ("*", [(message.id,)])):
            app.execute("SELECT set_config('runfold.tenant', %s, false)", [tenant])
            assert app.execute(call).fetchall() == shown


def test_a_search_within_some_days_is_by_their_labels_and_one_over_many_by_times(ledger: Ledger, runs: list[Run]) -> None:
    dawn = datetime(2026, 3, 1, tzinfo=UTC)
    found = [runs[0].add_message("user", "tea", occurred_at=dawn + timedelta(hours=7 * number)).id for number in range(40)]
    ledger.fold("search")
    for first, last in ((3, 9), (0, 39), (5, 5), (9, 3)):
        start, end = (dawn + timedelta(hours=7 * number) for number in (first, last))
        assert ids(ledger.now, "tea", happened_from=start, happened_to=end) == found[first : last + 1][::-1]
        assert ids(ledger.now, "tea", happened_from=start) == found[first:][::-1]
    assert ids(ledger.now, "tea", happened_from=dawn - timedelta(days=400), happened_to=dawn) == found[:1]
