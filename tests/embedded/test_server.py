"""The embedded server keeps what it acknowledged, is shared, leaks nothing, and says what it lacks."""

import contextlib
import itertools
import math
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from runfold.embedded import binaries as embedded_binaries
from runfold.embedded import place as embedded_place
from runfold.embedded import server as embedded
from runfold.embedded import watchdog as embedded_watchdog
from runfold.embedded.binaries import find_binaries, missing_binaries, wheel_folders
from runfold.embedded.place import SOCKET, find_place
from runfold.embedded.postgres import Launch
from runfold.embedded.server import EmbeddedServer
from runfold.errors import EmbeddedServerFailed

SOURCE = Path(embedded.__file__).parents[2]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root; every other test ran as an ordinary user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that the server's user can pass through, also when root runs the tests."""
    made = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def home(folder: Path) -> Iterator[Path]:
    yield folder / "home"
    delete(folder / "home")


@pytest.fixture
def roots_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedded_binaries, "ROOTS_FOLDER", folder / "lib")
    monkeypatch.setattr(embedded_place, "ROOTS_FOLDER", folder / "lib")
    return folder / "lib"


def delete(home: Path) -> None:
    if home.exists():
        EmbeddedServer(find_place(home), None).delete()


def script(body: str, home: Path, **options: object) -> "subprocess.Popen[str]":
    """Another process that has started the server as `server`."""
    start = f"""
        import psycopg, sys, time
        from pathlib import Path
        from runfold.embedded.server import EmbeddedServer
        server = EmbeddedServer.start(Path({str(home)!r}))
    """
    text = textwrap.dedent(start) + textwrap.dedent(body)
    options = {"env": os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])}} | options
    python = options.pop("python", sys.executable)
    return subprocess.Popen([python, "-c", text], stdout=subprocess.PIPE, text=True, **options)


def said(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    return out.strip()


def ask(server: EmbeddedServer, question: str) -> str:
    with psycopg.connect(server.admin_url) as connection:
        return str(connection.execute(question).fetchone()[0])


def started_at(server: EmbeddedServer) -> str:
    return ask(server, "SELECT pg_postmaster_start_time()::text")


def kill_all(server: EmbeddedServer) -> None:
    with psycopg.connect(server.admin_url) as connection:
        pids = [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity")]
    for pid in [embedded_watchdog.postmaster_pid(server.data_folder), *pids]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def watchdog_pid(server: EmbeddedServer) -> int:
    path = server.log_file.with_name(embedded_watchdog.WATCHDOG)
    eventually(lambda: path.read_text().strip().isdigit())
    return int(path.read_text())


def is_watched(server: EmbeddedServer) -> bool:
    with server.log_file.with_name(embedded_watchdog.WATCHDOG).open() as lock:
        return not embedded_watchdog.try_lock(lock.fileno())


def is_gone(server: EmbeddedServer) -> bool:
    return embedded_watchdog.postmaster_pid(server.data_folder) is None


def eventually(condition: Callable[[], bool]) -> None:
    """Sooner than a server stops that is told nothing else: after a minute."""
    until = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


# It starts, and is durable and private


def test_it_starts_and_every_role_can_connect(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        for role in ("runfold_owner", "runfold_app", "runfold_projector", "runfold_reader", "postgres"):
            with psycopg.connect(server.url(role)) as connection:
                assert connection.execute("SELECT current_user, current_database()").fetchone() == (role, "runfold")
        assert re.fullmatch(r"\d+\.\d+", server.version)
        assert server.log_file.exists()


def test_nothing_that_makes_a_commit_durable_is_weakened(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert ask(server, f"SHOW {setting}") == "on"
        assert ask(server, "SHOW server_encoding") == "UTF8"
        assert ask(server, "SELECT 'a' < 'B' COLLATE \"default\"") == "False"


def test_only_the_socket_in_a_private_folder_leads_in(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        assert ask(server, "SHOW listen_addresses") == ""
        assert ask(server, "SHOW unix_socket_directories") == str(server.data_folder)
        assert stat.S_IMODE(server.data_folder.stat().st_mode) == 0o700


def test_a_role_or_database_that_was_dropped_is_made_again(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE runfold WITH (FORCE)")
            connection.execute("DROP ROLE runfold_reader")
        server.ensure_running()
        with psycopg.connect(server.url("runfold_reader")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("name", ["long, and with a comma " * 6, "no UTF-8 \udcff"])
def test_a_home_whose_path_is_none_for_a_socket_works(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    long = folder / name / "home"
    long.parent.mkdir()
    long.parent.chmod(0o711)
    try:
        with EmbeddedServer.start(long) as server:
            socket_folder = Path(ask(server, "SHOW unix_socket_directories"))
            assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
            shutil.rmtree(socket_folder)
            monkeypatch.setattr(embedded, "_SOCKET_SECONDS", 0.2)
            server.ensure_running()
            assert ask(server, "SELECT 1") == "1"
            server.stop_now()
            assert not socket_folder.exists()
    finally:
        delete(long)


def test_a_server_that_was_launched_just_now_has_time_to_make_its_socket(home: Path) -> None:
    launched = Launch.__new__(Launch)
    with EmbeddedServer.start(home) as server:
        (find_place(home).socket_folder / SOCKET).unlink()
        assert server._launch_if_gone(launched, waited=60) is launched
        assert not is_gone(server)
        assert server._launch_if_gone(None, waited=60) is None
        assert is_gone(server)


def test_a_socket_folder_that_somebody_else_made_is_refused(folder: Path) -> None:
    long = folder / ("long" * 30) / "home"
    long.parent.mkdir()
    long.parent.chmod(0o711)
    squatted = find_place(long).socket_folder
    squatted.mkdir(mode=0o755)
    try:
        with pytest.raises(EmbeddedServerFailed, match="not a private folder"):
            EmbeddedServer.start(long)
    finally:
        delete(long)
        assert not squatted.exists()


# It is shared


def test_processes_that_start_at_once_share_one_server(home: Path) -> None:
    show = "print(psycopg.connect(server.admin_url).execute('SELECT pg_postmaster_start_time()::text').fetchone()[0])"
    processes = [script(show, home, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert len({said(process) for process in processes}) == 1


def test_one_that_closes_leaves_the_server_to_the_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "0.3")
    with EmbeddedServer.start(home) as mine:
        first = started_at(mine)
        EmbeddedServer.start(home).close()
        time.sleep(1)
        assert started_at(mine) == first


def test_the_server_lingers_between_commands_and_then_stops(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "1")
    last, left = "", -math.inf
    for _ in range(3):
        with EmbeddedServer.start(home) as server:
            in_time = time.monotonic() < left + 1  # which a busy machine may prevent
            assert started_at(server) == last or not in_time
            last, left = started_at(server), time.monotonic()
        time.sleep(0.6)
    eventually(lambda: is_gone(server) and not is_watched(server))


def test_who_comes_while_the_watchdog_stops_gets_a_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "0.1")
    firsts, step = set(), 0
    while step < 12 or len(firsts) == 1:
        with EmbeddedServer.start(home) as server:
            firsts.add(started_at(server))
            assert is_watched(server)
        time.sleep(0.09 + step * 0.03)
        step += 1


# It survives


@pytest.mark.fault("A3")
def test_a_server_killed_with_all_its_children_keeps_every_acknowledged_row(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        with psycopg.connect(server.admin_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        writer = script(
            """
            with psycopg.connect(server.admin_url, autocommit=True) as connection:
                for id in range(1_000_000):
                    connection.execute("INSERT INTO kept VALUES (%s)", [id])
                    print(id, flush=True)
            """,
            home,
            stderr=subprocess.DEVNULL,
        )
        first = list(itertools.islice(writer.stdout, 101))
        kill_all(server)
        acknowledged = len([*first, *writer.stdout])
        writer.communicate()
        server.ensure_running()
        assert acknowledged > 100
        assert int(ask(server, "SELECT count(*) FROM kept")) in (acknowledged, acknowledged + 1)


@pytest.mark.fault("A3")
def test_a_postmaster_killed_while_clients_are_attached_is_started_again(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        first = started_at(server)
        with psycopg.connect(server.admin_url) as connection:
            os.kill(embedded_watchdog.postmaster_pid(server.data_folder), signal.SIGKILL)
            server.ensure_running()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert started_at(server) != first


@pytest.mark.fault("A3")
def test_a_server_killed_again_while_it_recovers_is_started_again(home: Path) -> None:
    def kill_the_next() -> None:
        eventually(lambda: embedded_watchdog.postmaster_pid(server.data_folder) not in (None, first))
        os.kill(embedded_watchdog.postmaster_pid(server.data_folder), signal.SIGKILL)

    with EmbeddedServer.start(home) as server:
        first = embedded_watchdog.postmaster_pid(server.data_folder)
        kill_all(server)
        killer = threading.Thread(target=kill_the_next)
        killer.start()
        server.ensure_running()
        killer.join()
        server.ensure_running()
        assert ask(server, "SELECT 1") == "1"


@pytest.mark.fault("A3")
def test_a_stale_pid_that_another_process_has_now_is_no_obstacle(home: Path) -> None:
    with EmbeddedServer.start(home) as server:
        kill_all(server)
        user = find_place(home).user
        as_user = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
        bystander = subprocess.Popen(["sleep", "100"], cwd="/", **as_user)
        pid_file = server.data_folder / "postmaster.pid"
        pid_file.write_text(re.sub(r"^\d+", str(bystander.pid), pid_file.read_text()))
        server.ensure_running()
        server.stop_now()
        assert bystander.poll() is None
        bystander.kill()
        bystander.wait()


@pytest.mark.fault("A3")
def test_a_killed_client_leaks_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "1")
    client = script("print('up', flush=True); time.sleep(100)", home)
    assert client.stdout.readline() == "up\n"
    killed = time.monotonic()
    client.kill()
    client.communicate()
    server = EmbeddedServer(find_place(home), None)
    eventually(lambda: is_gone(server))
    assert time.monotonic() - killed > 0.5
    eventually(lambda: not is_watched(server))


@pytest.mark.fault("A3")
def test_a_killed_watchdog_is_replaced_by_the_next_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNFOLD_EMBEDDED_LINGER", "0.5")
    with EmbeddedServer.start(home) as server:
        first, pid = started_at(server), watchdog_pid(server)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_watched(server))
        with EmbeddedServer.start(home) as second:
            assert started_at(second) == first
            assert watchdog_pid(server) != pid
    eventually(lambda: is_gone(server))


@pytest.mark.fault("A3")
def test_a_first_start_that_was_killed_half_way_is_begun_again(home: Path) -> None:
    place = find_place(home)
    (place.folder / "initdb-left").mkdir()
    with EmbeddedServer.start(home) as server:
        assert ask(server, "SELECT 1") == "1"
    assert not (place.folder / "initdb-left").exists()


def test_a_home_that_was_deleted_under_a_running_server_begins_anew(home: Path) -> None:
    with EmbeddedServer.start(home) as old:
        pid = embedded_watchdog.postmaster_pid(old.data_folder)
        eventually(lambda: is_deleted(home))
        with EmbeddedServer.start(home) as server:
            assert ask(server, "SELECT 1") == "1"
            assert embedded_watchdog.postmaster_pid(server.data_folder) != pid
    with contextlib.suppress(ProcessLookupError):  # it may have noticed by itself
        os.kill(pid, signal.SIGQUIT)


def is_deleted(folder: Path) -> bool:
    """After another try: who still writes there may be in the way of one."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


# It keeps private folders private


@root_only
def test_roots_private_home_stays_private(folder: Path, roots_folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    home = private / "home"
    with EmbeddedServer.start(home) as server:
        assert server.data_folder.is_relative_to(roots_folder)
        assert server.data_folder.stat().st_uid != 0
        first = started_at(server)
    with EmbeddedServer.start(home) as again:
        assert started_at(again) == first
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    server.stop_now()
    shutil.rmtree(server.log_file.parent)
    with pytest.raises(EmbeddedServerFailed, match="that folder is gone"):
        EmbeddedServer.start(home)


@root_only
def test_binaries_in_a_private_folder_are_copied_and_stay_private(folder: Path, roots_folder: Path) -> None:
    if not wheel_folders():
        pytest.skip("runfold[embedded] is not installed")
    wheel = wheel_folders()[0].parents[1]
    private = folder / "private"
    private.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, private / part.name, ignore=shutil.ignore_patterns("include", "pginstall"))
    try:
        for _ in range(2):
            with EmbeddedServer.start(folder / "home", private / wheel.name / "pginstall18" / "bin") as server:
                assert ask(server, "SELECT 1") == "1"
                server.stop_now()
        assert len(list((roots_folder / "binaries").iterdir())) == 1
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        delete(folder / "home")


def ordinary_python() -> str:
    """An interpreter like ours that the user nobody can run."""
    for python in (sys.executable, "/usr/bin/python3"):
        version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        with contextlib.suppress(OSError):
            if subprocess.run([python, "-c", version], cwd="/", user="nobody", check=False).returncode == 0:
                return python
    pytest.skip("no Python of this version that the user nobody can run")


def as_nobody(body: str, home: Path) -> "subprocess.Popen[str]":
    nobody = pwd.getpwnam("nobody")
    libraries = f"{SOURCE}:{sysconfig.get_path('platlib')}"
    return script(
        body,
        home,
        python=ordinary_python(),
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": libraries, "RUNFOLD_EMBEDDED_LINGER": "1"},
        stderr=subprocess.PIPE,
    )


@root_only
def test_an_ordinary_user_has_a_server_of_its_own_that_root_may_use(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    theirs = folder / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, nobody.pw_uid, nobody.pw_gid)
    assert said(as_nobody("print(server.version); server.stop_now()", theirs / "home"))
    data = theirs / "home" / "postgres" / "data"
    assert data.stat().st_uid == nobody.pw_uid
    assert stat.S_IMODE((theirs / "home").stat().st_mode) == 0o700
    with EmbeddedServer.start(theirs / "home") as server:
        assert server.data_folder == data
        assert said(as_nobody("print(psycopg.connect(server.url()).execute('SELECT 1').fetchone()[0])", theirs / "home"))
    server.stop_now()


# It says what it lacks


@root_only
def test_a_folder_that_is_not_ours_to_write_is_named(folder: Path) -> None:
    process = as_nobody("", folder / "home")
    _, error = process.communicate(timeout=240)
    assert re.search(r"EmbeddedServerFailed: .*home cannot be used by the user .*set RUNFOLD_HOME", error)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    delete(disk / "home")
    subprocess.run(["umount", str(disk)], check=True)


@root_only
def test_a_full_disk_is_named_and_leaves_no_half_a_ledger(small_disk: Path) -> None:
    with pytest.raises(EmbeddedServerFailed, match=r"no space left on device for .*RUNFOLD_HOME"):
        EmbeddedServer.start(small_disk / "home")
    assert not list((small_disk / "home" / "postgres").glob("initdb-*"))
    assert not (small_disk / "home" / "postgres" / "data").exists()


def test_a_server_that_ends_at_start_is_quoted(home: Path) -> None:
    EmbeddedServer.start(home).stop_now()
    with (find_place(home).data / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerFailed, match=r"(?s)ended while it started.*no_such_setting.*server\.log"):
        EmbeddedServer.start(home)


def test_data_of_an_older_version_are_served_by_its_own_binaries(home: Path) -> None:
    wheels = wheel_folders()
    if len(wheels) < 2:
        pytest.skip("runfold[embedded] is not installed")
    EmbeddedServer.start(home, wheels[-1]).stop_now()
    with EmbeddedServer.start(home) as server:
        assert server.version.startswith("16.")
        server.stop_now()
    with pytest.raises(EmbeddedServerFailed, match=r"written by PostgreSQL 16, and only 18\.\d+ was found; .*pg_upgrade"):
        EmbeddedServer.start(home, wheels[0])


def test_data_of_a_version_that_is_not_here_name_both_versions() -> None:
    with pytest.raises(EmbeddedServerFailed, match=r"written by PostgreSQL 9, and only \d+\.\d+.* pg_dump"):
        find_binaries(None, 9)


def test_missing_binaries_name_the_command_that_brings_them() -> None:
    assert "pip install 'runfold[embedded]'" in str(missing_binaries(None, "glibc"))
    assert "RUNFOLD_DATABASE_URL" in str(missing_binaries(None, "glibc"))


def test_musl_is_told_to_use_its_package_manager() -> None:
    message = str(missing_binaries(None, "musl"))
    assert "apk add" in message
    assert "RUNFOLD_PG_BIN" in message
    assert "pip install" not in message


def test_a_folder_without_binaries_is_named(home: Path, folder: Path) -> None:
    with pytest.raises(EmbeddedServerFailed, match=f"RUNFOLD_PG_BIN is {folder}, which holds no initdb"):
        EmbeddedServer.start(home, folder)


def test_a_data_folder_of_somebody_else_is_not_written_over(home: Path) -> None:
    data = find_place(home).data
    data.mkdir()
    (data / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedServerFailed, match="not a PostgreSQL data folder"):
        EmbeddedServer.start(home)
    assert (data / "letter.txt").read_text() == "dear"
