"""`runfold serve` says how to see its pages, and opens them."""

import json
import signal
from pathlib import Path

import httpx2
import pytest

from runfold import Ledger, Settings
from runfold.cli.operate.serve_start import sign_in_address
from runfold.http.server import listening
from tests.cli.conftest import Command, Process
from tests.waiting import until

SECONDS = 60
EVERYWHERE = "0.0.0.0"  # noqa: S104


def owners(ledger: Ledger) -> list[str]:
    return [key.owner for key in ledger.keyring.all()]


def test_it_opens_the_pages_signed_in_and_each_of_its_processes_knows_the_session(
    started: Process, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("LOGNAME", "mira")
    ledger.fold("threads", "run_summaries", "usage", "approval_queue", "attention")
    process = started(["serve", "--port", "0", "--no-work", "--json", "--open", "--workers", "2"])
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    said = json.loads(line)
    until(opened.exists, SECONDS)
    assert opened.read_text() == said["sign_in"]
    with httpx2.Client(timeout=SECONDS, headers={"Connection": "close"}) as client:
        assert client.get(said["sign_in"]).status_code == 303
        assert {client.get(f"{said['address']}/ui").status_code for _ in range(4)} == {200}
        assert httpx2.get(said["sign_in"], timeout=SECONDS).status_code == 401
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert owners(ledger) == ["human:mira"]


def test_a_sign_in_address_is_of_who_starts_it_and_where_nobody_else_can_read_it(ledger: Ledger, settings: Settings) -> None:
    with listening("127.0.0.1", 0) as here, listening(EVERYWHERE, 0) as everywhere:
        for _ in range(2):
            address = sign_in_address(ledger, here, "human:mira")
            assert address is not None
            assert address.startswith(f"http://127.0.0.1:{here.getsockname()[1]}/ui/login?token=")
        assert owners(ledger) == ["human:mira"], "the second start made no second key"
        sign_in_address(ledger, here, "human:ada")
        assert owners(ledger) == ["human:mira", "human:ada"]
        assert [sign_in_address(ledger, everywhere, "human:mira"), sign_in_address(ledger, here, None)] == [None, None]
        for name in ("public_hosts", "trusted_proxies"):
            with Ledger.open(settings=settings.model_copy(update={name: "10.0.0.1"})) as behind_proxy:
                assert sign_in_address(behind_proxy, here, "human:mira") is None


def test_there_is_nothing_to_open_without_pages(runfold: Command) -> None:
    refused = runfold("serve", "--open", "--no-pages")
    assert (refused.code, "--no-pages leaves them out" in refused.err) == (2, True)
