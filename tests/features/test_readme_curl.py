"""The README's walk with curl does what it says: its commands are run as they stand, against a real `runfold serve`."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.alone

if TYPE_CHECKING:
    from conftest import TestDatabase

README = Path(__file__).parents[2] / "README.md"
WALK = "".join(re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL))
SERVED = "http://127.0.0.1:8765"
EPOCH = re.compile(r"(?<=\d)@[0-9a-f]{8}\b")
"""Of which history a position is: each ledger has its own."""
PATIENT = """
curl() {
    exec 3< <(exec curl "$@")
    local curl=$! line=
    until [[ $line = *caught_up* ]]; do read -r line <&3; echo "$line"; done
    while read -r -t 2 line <&3; do echo "$line"; done
    kill $curl
}
"""
"""A stream is broken off two seconds after it has caught up, however long a busy machine takes for that."""


def steps() -> Iterator[tuple[str, str]]:
    """Each command of the walk, and what the README shows of its answer."""
    for block in re.split(r"^\$ ", WALK, flags=re.MULTILINE)[1:]:
        command, _, shown = block.partition("\n")
        yield command, shown.strip()


def in_the_same_shell(before: str, text: str) -> str:
    """What a line sets, as it stands from then on: what is asked for once is not asked for again with each command."""
    if (asked := re.match(r"export (\w+)=\$\(", text)) is None:
        return text + "\n"
    name = asked[1]
    script = ["bash", "-ec", f'{before}{text}\nprintf %s "${name}"']
    done = subprocess.run(script, check=True, capture_output=True, text=True, timeout=90)
    assert done.stdout, text
    return f"export {name}={shlex.quote(done.stdout)}\n"


def same_but_for_time(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+\+00:00", "TIME", EPOCH.sub("@EPOCH", text))


@pytest.fixture
def served(database: "TestDatabase") -> Iterator[dict[str, str]]:
    """`runfold serve` on this test's database: where it is, and its first key."""
    urls = {"RUNFOLD_DATABASE_URL": database.url, "RUNFOLD_PROJECTOR_URL": database.projector_url}
    command = [sys.executable, "-m", "runfold.cli.main", "--json", "serve", "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, **urls}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)


def test_the_walk_with_curl_does_what_it_shows(served: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("curl is not here, and CI must have it")
        pytest.skip("curl is not here")
    before, tried, epoch = "", 0, ""
    for command, shown in steps():
        text = EPOCH.sub(epoch, command.replace("rf_…", served["key"]).replace(SERVED, served["address"]))
        if re.match(r"export |\w+\(\) ", text):
            before += in_the_same_shell(before, text)
            continue
        if "-m 2 " in text:
            text = PATIENT + text.replace("-m 2 ", "-m 60 ")
        script = ["bash", "-ec", before + text]
        done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=90, cwd=tmp_path)
        assert same_but_for_time(done.stdout.strip()) == same_but_for_time(shown), f"{command}: {done.stderr}"
        epoch = found[0] if (found := EPOCH.search(done.stdout)) else epoch
        tried += 1
    assert tried >= 10
