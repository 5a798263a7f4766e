"""`runfold version`: what runs here."""

from runfold.cli.call import Call

LIBRARIES = ("eventsourcing", "psycopg", "psycopg-pool", "pydantic", "pydantic-settings", "orjson", "rich", "typer")


def version(call: Call) -> None:
    """Show the versions of Runfold, Python and the libraries it stands on."""
    found = versions()
    if call.json:
        call.answer(found)
        return
    for name, number in found.items():
        call.out.print(f"{name:<18}{number}")


def versions() -> dict[str, str]:
    """Name → version; `not installed` where a library is missing."""
    import platform
    from importlib import metadata

    found = {"runfold": "", "python": platform.python_version()}
    for name in ("runfold", *LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
