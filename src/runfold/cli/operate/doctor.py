"""`runfold doctor` and `version`: the settings, the libraries, and whether the database is as it should be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from runfold.cli.operate.server_checks import Check
    from runfold.settings import Settings

HIDDEN = "********"
READ_ELSEWHERE = {"RUNFOLD_EMBEDDED_LINGER", "RUNFOLD_FAILPOINT"}
"""What is read without being a setting."""
LIBRARIES = ("eventsourcing", "psycopg", "psycopg-pool", "pydantic", "pydantic-settings", "orjson", "rich", "typer")


def doctor(call: Call) -> None:
    """Show the settings, and check the database, its schema and the rights of this role.

    Secrets are hidden. Exit 1 if something is wrong; each problem says what to do.
    """
    settings = call.settings()
    shown_settings = effective(settings)
    lines = list(examine(settings))
    wrong = sum(line.state == "wrong" for line in lines)
    if call.json:
        call.answer({"ok": not wrong, "settings": shown_settings, "checks": [line._asdict() for line in lines]})
    else:
        from runfold.terminal.checks import print_checks

        print_checks(call.out, shown_settings, lines)
    if wrong:
        raise typer.Exit(1)


def effective(settings: "Settings") -> dict[str, Any]:
    """Every setting under its environment name, with secrets hidden."""
    shown: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if hasattr(value, "get_secret_value"):
            value = without_secrets(value.get_secret_value())
        shown[f"RUNFOLD_{name.upper()}"] = value if isinstance(value, bool | int | float | None) else str(value)
    return shown


def without_secrets(url: str) -> str:
    """A database's URL without its secrets."""
    import psycopg

    from runfold.store.address import as_url, parts_of

    try:
        parts = parts_of(url)
    except psycopg.ProgrammingError:
        return HIDDEN  # PostgreSQL cannot parse it, so any part may be secret
    for name in parts.keys() & {"password", "sslpassword", "passfile", "oauth_client_secret"}:
        parts[name] = HIDDEN
    return as_url(parts)


def examine(settings: "Settings") -> "Iterator[Check]":
    """Check everything. A check that an earlier failure makes impossible is left out."""
    from runfold.cli.operate.server_checks import Check, examine_server, fact_and_step
    from runfold.errors import LedgerError
    from runfold.store.database import Database
    from runfold.store.reading.reader import Reader

    found = versions()
    missing = [name for name, number in found.items() if number == "not installed"]
    if missing:
        yield Check("libraries", "wrong", f"{', '.join(missing)} not installed", "pip install runfold again")
    yield Check("versions", "ok", ", ".join(f"{name} {number}" for name, number in found.items()))
    for name, like in unknown_names(settings):
        step = f"write {like}" if like else "take it out, or see above how settings are called"
        yield Check("settings", "note", f"{name} is no setting, and is not read", step)
    try:
        yield from _embedded(settings)
        database = Database.of(settings)
    except LedgerError as error:
        yield Check("database", "wrong", *fact_and_step(error))
        return
    datastore = database.datastore(settings.connect_timeout)
    try:
        database.prepare()
        yield from examine_server(Reader(datastore), settings)
    except LedgerError as error:
        yield Check("database", "wrong", *fact_and_step(error))
    finally:
        datastore.close()
        database.close()


def unknown_names(settings: "Settings") -> list[tuple[str, str | None]]:
    """What is named as settings are, in the environment or their file, and is none; each with the setting most like it."""
    import os
    from difflib import get_close_matches

    from pydantic_settings import DotEnvSettingsSource

    prefix = str(settings.model_config["env_prefix"])
    given = {name.upper() for name in os.environ}
    if settings.env_file is not None:
        given |= {name.upper() for name in DotEnvSettingsSource(type(settings), env_file=settings.env_file).env_vars}
    known = [name.upper() for name in type(settings).model_fields]
    found = []
    for name in sorted(given - READ_ELSEWHERE):
        word = name.removeprefix(prefix)
        if word != name and word not in known:
            found.append((name, next((prefix + like for like in get_close_matches(word, known, 1, 0.75)), None)))
    return found


def _embedded(settings: "Settings") -> "Iterator[Check]":
    from runfold.cli.operate.server_checks import Check

    if (named := settings.database_url or settings.admin_url) is not None:
        yield Check("database", "ok", without_secrets(named.get_secret_value()))
        return
    from runfold.embedded.place import find_place
    from runfold.embedded.watchdog import postmaster_pid

    place = find_place(settings.home)
    pid = postmaster_pid(place.data)
    running = f"runs as process {pid}" if pid else "was not running, and was started for this check"
    yield Check("database", "ok", f"the embedded PostgreSQL, which {running}")
    yield Check("embedded folders", "ok", f"data {place.data}, socket {place.socket_folder}, log {place.log_file}")


def version(call: Call) -> None:
    """Show the versions of Runfold, Python and the libraries it uses."""
    found = versions()
    if call.json:
        call.answer(found)
        return
    for name, number in found.items():
        call.out.print(f"{name:<18}{number}")


def versions() -> dict[str, str]:
    """The versions by name; `not installed` where a library is missing."""
    import platform
    from importlib import metadata

    found = {"runfold": "", "python": platform.python_version()}
    for name in ("runfold", *LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
