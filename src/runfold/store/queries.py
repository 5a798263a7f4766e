"""SQL that is more than a line lives in a file beside the Python that runs it, each statement under its name."""

from importlib import resources


def named_queries(package: str, file: str) -> dict[str, str]:
    """The statements of a file, by the names in their lines `-- name: …`."""
    text = (resources.files(package) / file).read_text("utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): query for name, _, query in parts}


def filled(query: str, **texts: str) -> str:
    """A statement with parts of SQL in the places of some `{names}`; the other names stay for whoever fills them."""
    for name, text in texts.items():
        query = query.replace(f"{{{name}}}", text)
    return query
