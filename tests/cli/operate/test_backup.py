"""`runfold backup` and `runfold restore`; and `runfold migrate` after a dump was restored by hand without its roles."""

import json
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from runfold import Ledger
from runfold.maintenance.backup import STAYS
from runfold.maintenance.pg_programs import environment_of, find_program
from runfold.store.setup import rights
from runfold.store.setup.migrate import migrate
from tests.backups import owners_and_grants, tell
from tests.cli.conftest import Command
from tests.databases import TestDatabase
from tests.docs.pages import block_with


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger with some of everything in it, folded."""
    tell(ledger)
    return ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a ledger's.dump"


# The command line


def test_the_commands_say_what_they_did_and_what_travels(
    runfold: Command, told: Ledger, empty: TestDatabase, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = told.head()
    made = runfold("backup", str(file), "--json")
    assert (made.code, made.json["sums"]["events"], made.json["epoch"]) == (0, head.position, str(head.epoch))
    again = runfold("backup", str(file), "--json")
    assert (again.code, "already exists" in again.error["message"]) == (1, True)
    assert runfold("backup", str(file), "--yes").out.startswith(f"{head.position} events up to position {head.position} in ")
    refused = runfold("restore", str(file))
    assert (refused.code, "restore into an empty one" in refused.err) == (1, True)
    for name, url in (("DATABASE", empty.url), ("ADMIN", empty.admin_url), ("PROJECTOR", empty.projector_url)):
        monkeypatch.setenv(f"RUNFOLD_{name}_URL", url)
    done = runfold("restore", str(file))
    assert done.code == 0
    assert f"restored {head.position} events up to position {head.position}" in done.out
    assert "no damage" in done.out
    assert f"begins after position {head.position} of {head.epoch}" in done.out
    assert "It does not hold:" in done.out
    checked = runfold("check", "--json").json
    assert (checked["ok"], checked["lineage"][0]["reason"], checked["events"]) == (True, "restored", head.position)
    assert runfold("doctor").code == 0
    assert json.loads(runfold("restore", str(file), "--json").err)["type"] == "BackupRefused"


# A dump that somebody restored by hand, where the roles were missing


def restored_without_roles(database: TestDatabase, empty: TestDatabase, file: Path) -> None:
    """What pg_restore makes of a dump where no role is known: everything is the superuser's, and no grant or policy comes."""
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute("SELECT current_setting('server_version_num')::int / 10000").fetchone()
    assert row is not None
    dump, bring_in = (find_program(name, None, row[0]).path for name in ("pg_dump", "pg_restore"))
    subprocess.run([dump, "-Fc", "-n", "runfold", "-f", file], env=environment_of(database.admin_url), check=True)
    listed = subprocess.run([bring_in, "--list", file], check=True, capture_output=True, text=True).stdout
    kept = file.with_suffix(".list")
    kept.write_text("".join(line for line in listed.splitlines(keepends=True) if " POLICY " not in line))
    subprocess.run(
        [bring_in, "--no-owner", "--no-privileges", f"--use-list={kept}", "-d", str(conninfo_to_dict(empty.url)["dbname"]), file],
        env=environment_of(empty.admin_url),
        check=True,
    )


@pytest.mark.fault("J4", "K8")
def test_a_dump_restored_by_hand_without_roles_is_named_by_doctor_and_check_and_mended_by_migrate(
    told: Ledger, database: TestDatabase, empty: TestDatabase, file: Path, runfold: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored_without_roles(database, empty, file)
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", empty.admin_url)
    monkeypatch.setenv("RUNFOLD_ADMIN_URL", empty.admin_url)
    monkeypatch.setenv("RUNFOLD_PROJECTOR_URL", empty.admin_url)
    wrong = {line["about"]: line for line in runfold("doctor", "--json").json["checks"] if line["state"] == "wrong"}
    assert {"owners", "grants", "tenants"} <= wrong.keys()
    assert "run `runfold migrate` as a superuser" in wrong["owners"]["next_step"]
    facts = [finding["fact"] for finding in runfold("check", "--json").json["findings"]]
    assert any(fact.startswith("runfold.log belongs to ") for fact in facts)
    assert {"SELECT on runfold.log to runfold_app is not granted", "everybody may call runfold.append_events"} <= set(facts)
    assert "row-level security does not keep tenants apart in runfold.log" in facts
    mended = runfold("migrate", "--json")
    assert (mended.code, mended.json["applied"], len(mended.json["mended"]) > 50) == (0, [], True)
    assert owners_and_grants(empty.admin_url) == owners_and_grants(database.admin_url)
    assert "mended" not in runfold("migrate", "--json").json
    monkeypatch.setenv("RUNFOLD_DATABASE_URL", empty.url)
    assert runfold("doctor").code == 0
    with Ledger.open(empty.url) as ledger:
        assert ledger.lineage()[0].reason == "copied", "it is noticed by itself"
        assert ledger.lineage()[0].parent == told.head().epoch


def test_roles_that_are_missing_are_named(database: TestDatabase, runfold: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ROLES", (*rights.ROLES, "runfold_nobody"))
    found = runfold("doctor", "--json")
    (wrong,) = [line for line in found.json["checks"] if line["state"] == "wrong"]
    assert (found.code, wrong["about"], wrong["fact"]) == (1, "roles", "the role runfold_nobody is missing")


@pytest.mark.fault("J4")
def test_by_hand_as_the_guide_says_read_models_are_folded_anew(
    told: Ledger, database: TestDatabase, empty: TestDatabase, file: Path
) -> None:
    guide = block_with("guide/operate.md", "pg_dump", "sh")
    pattern = re.search(r"--exclude-table-data='(runfold\.\([\w|]+\))'", guide)
    assert pattern is not None
    assert set(pattern[1].removeprefix("runfold.(").removesuffix(")").split("|")) == STAYS
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute("SELECT current_setting('server_version_num')::int / 10000").fetchone()
    assert row is not None
    dump, bring_in = (find_program(name, None, row[0]).path for name in ("pg_dump", "pg_restore"))
    said = [dump, "--format=custom", "--schema=runfold", f"--exclude-table-data={pattern[1]}", "-f", file]
    subprocess.run(said, env=environment_of(database.admin_url), check=True)
    migrate(empty.admin_url)
    with psycopg.connect(empty.admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA runfold CASCADE")
    name = str(conninfo_to_dict(empty.url)["dbname"])
    command = [bring_in, "--single-transaction", "--exit-on-error", "-d", name, file]
    subprocess.run(command, env=environment_of(empty.admin_url), check=True)
    assert owners_and_grants(empty.admin_url) == owners_and_grants(database.admin_url)
    with Ledger.open(settings=empty.settings) as ledger:
        assert (ledger.lineage()[0].reason, ledger.fold()) == ("copied", told.position())
        assert len(ledger.now.runs().items) == 20
