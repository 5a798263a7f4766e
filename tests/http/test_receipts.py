"""Receipts over HTTP: with salts and digests where a command asks for them, and verified by who kept them."""

from pathlib import Path

import httpx2
import pytest

from runfold import Ledger, Settings
from runfold.access.keys import Keys
from runfold.errors import InvalidEvent, ScopeMissing, UsageError
from runfold.evidence.sealer import Sealer
from runfold.http.app import create_app
from tests.databases import TestDatabase
from tests.http.keys import make_key, with_key
from tests.serving import serving


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings.model_copy(update={"home": tmp_path / "home"})


def test_commands_answer_with_receipts_that_are_kept_and_verified_later(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        key = make_key(ledger, "runs:write", "events:read")
        with Ledger.connect(address, key, receipts=True) as remote:
            run = remote.create_thread(agent_id="desk").start_run()
            said = run.add_message("user", "46.00 EUR")
            on_its_way = run.submit_add_message("user", "more").result()
            with remote.batch() as batch:
                for text in ("one", "two"):
                    batch.run(run.id).add_message("assistant", text)
            receipts = [run.receipt, said.receipt, on_its_way.receipt, batch.receipt]
            told = [each for receipt in receipts for each in receipt.told]
            assert [each.position for each in told][1:] == list(range(told[1].position, ledger.position() + 1))
            assert remote.verify_receipt(said.receipt).unsealed == 1
            Sealer(ledger).seal_all()
            for receipt in receipts:
                found = remote.verify_receipt(receipt.as_json())
                assert found == ledger.verify_receipt(receipt)
                assert (found.ok, found.unsealed) == (True, 0)
            lie = said.receipt.as_json()
            lie["events"][0]["payload_sha256"] = "0" * 64
            found = remote.verify_receipt(lie)
            assert (found.ok, found.events[0].differs) == (False, ("payload_sha256", "sealed payload_sha256"))
            with pytest.raises(UsageError, match="the receipt cannot be read"):
                remote.verify_receipt("{}")
        with Ledger.connect(address, key) as plain:
            assert plain.run(run.id).add_message("user", "no receipt").receipt.appended == 1
            with pytest.raises(UsageError, match="connect with receipts=True"):
                plain.run(run.id).add_message("user", "no receipt").receipt.as_json()
        with (
            Ledger.connect(address, make_key(ledger, "runs:write")) as writer,
            pytest.raises(ScopeMissing, match="events:read"),
        ):
            writer.verify_receipt(said.receipt)


def test_an_answer_is_a_receipt_as_it_is_and_another_word_is_refused_before_anything_is_recorded(settings: Settings) -> None:
    with Ledger.open(settings=settings) as ledger, serving(create_app(ledger, Keys(ledger))) as address:
        headers = with_key(make_key(ledger, "admin"))
        full = {**headers, "Runfold-Receipt": "full"}

        def sent(path: str, body: object, said: dict[str, str] = full) -> httpx2.Response:
            return httpx2.post(f"{address}{path}", json=body, headers=said)

        asked = [
            ("/threads", {"agent_id": "desk"}),
            ("/keys", {"owner": "human:eve", "scopes": ["events:read"], "label": "a key"}),
        ]
        for path, body in asked:
            answer = sent(path, body).json()
            assert (answer["v"], len(answer["events"])) == (1, answer["appended"])
            kept = {name: value for name, value in answer.items() if name not in {"key", "note"}}
            assert sent("/receipts/verify", kept, headers).json()["ok"]
            assert not {"v", "events"} & set(sent(path, body, headers).json())
        thread = sent("/threads", {"agent_id": "desk"}).json()["id"]
        changed = httpx2.patch(f"{address}/threads/{thread}", json={"title": "a", "archived": True}, headers=full).json()
        assert [each["type"] for each in changed["events"]] == ["thread.renamed", "thread.archived"]
        assert sent("/receipts/verify", changed, headers).json()["ok"]
        before = ledger.position()
        refused = sent("/threads", {"agent_id": "desk"}, {**headers, "Runfold-Receipt": "brief"})
        assert (refused.status_code, refused.json()["path"]) == (422, "Runfold-Receipt")
        assert ledger.position() == before
        others = {"v": 1, "events": [{**changed["events"][0], "tenant_id": "acme"}]}
        with Ledger.connect(address, make_key(ledger, "events:read")) as remote, pytest.raises(InvalidEvent, match="tenant"):
            remote.verify_receipt(others)
