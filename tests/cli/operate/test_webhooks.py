"""`runfold webhooks`: made, listed, tested, disabled and deleted on a terminal."""

from pathlib import Path

import pytest

from runfold import Ledger
from tests.cli.conftest import Command

MAKE = ("webhooks", "create", "https://hooks.example.com/runs", "--type", "run.*", "--label", "Orders", "--id", "webhook_orders")


def test_a_webhook_is_made_with_its_secret_and_listed(runfold: Command) -> None:
    made = runfold(*MAKE)
    webhook_id, secret = made.out.split()
    assert (made.code, webhook_id, secret[:6]) == (0, "webhook_orders", "whsec_")
    assert runfold("webhooks", "secret", "webhook_o").out.split() == [secret], "as much of its id as is needed"
    listed = runfold("webhooks", "list")
    for word in ("webhook_orders", "active", "Orders", "https://hooks.example.com/runs", "run.*", "1 webhook as of position 1"):
        assert word in listed.out
    assert secret not in listed.out
    assert "run.*" in runfold("webhooks", "show", "webhook_orders").out
    assert runfold("webhooks", "attempts", "webhook_orders").out.endswith("0 attempts\n")
    other = runfold("webhooks", "secret", "callbacks", "--json").json["items"][0]["secret"]
    assert other != secret
    assert runfold("webhooks", "show", "webhook_missing").code == 3


def test_it_is_rotated_disabled_enabled_and_deleted(runfold: Command) -> None:
    secret = runfold(*MAKE, "--json").json["secret"]
    rotated = runfold("webhooks", "rotate", "webhook_orders", "--keep-for", "1h", "--json").json["items"]
    assert [each["secret"] == secret for each in rotated] == [False, True]
    said = runfold("webhooks", "disable", "webhook_orders", "--comment", "moving", "--as", "human:ada")
    assert said.out.splitlines() == ["webhook_orders is disabled", "recorded at position 3"]
    assert runfold("webhooks", "disable", "webhook_orders").out.splitlines()[1] == "it was so already; nothing was added"
    assert runfold("webhooks", "test", "webhook_orders").code == 1
    assert runfold("webhooks", "enable", "webhook_orders", "--json").json["status"] == "active"
    untried = runfold("webhooks", "test", "webhook_orders", "--wait", "0s")
    assert (untried.code, untried.out) == (1, "nobody has sent it within 0s; start `runfold work`\n")
    assert runfold("webhooks", "replay", "webhook_orders", "--json").json["position"] == 6
    assert runfold("webhooks", "delete", "webhook_orders").code == 0
    assert "0 webhooks" in runfold("webhooks", "list").out
    assert runfold("webhooks", "list", "--deleted", "--json").json["items"][0]["status"] == "deleted"


@pytest.mark.parametrize("why", ["a folder", "no key", "below a file", "gone"])
@pytest.mark.parametrize("arguments", [("create", "https://hooks.example.com/x"), ("rotate", "webhook_orders")])
def test_nothing_is_recorded_where_its_secret_could_not_be_shown(
    runfold: Command, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], why: str
) -> None:
    assert runfold(*MAKE).code == 0
    before = ledger.position()
    (tmp_path / "file").write_text("no key\n")
    places = {"a folder": ".", "no key": "file", "below a file": "file/keys", "gone": "gone"}
    monkeypatch.setenv("RUNFOLD_WEBHOOK_KEYS", str(tmp_path / places[why]))
    refused = runfold("webhooks", *arguments)
    assert (refused.code in {1, 2}, "unexpected" in refused.err) == (True, False), refused.err
    assert ledger.position() == before


def test_an_address_that_leads_nowhere_public_is_refused_with_the_next_step(runfold: Command) -> None:
    refused = runfold("webhooks", "create", "https://169.254.169.254/latest")
    assert refused.code == 2
    assert "link-local" in refused.err
    assert "give an address such as https://hooks.example.com/runs" in refused.err


def test_what_is_refused_leaves_no_keys_of_secrets_behind(runfold: Command, tmp_path: Path) -> None:
    refused = runfold("webhooks", "create", "nowhere", "--json")
    assert (refused.code, refused.error["facts"]["path"]) == (2, "url")
    assert runfold("webhooks", "rotate", "webhook_missing", "--json").error["exit_code"] == 3
    assert not (tmp_path / "home" / "webhook-keys").exists()
