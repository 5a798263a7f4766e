"""Addresses of databases, taken apart and written as a URL."""

from collections.abc import Mapping
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict, make_conninfo


def parts_of(address: str) -> dict[str, str]:
    """The parts of a URL, or of `name=value` pairs, by PostgreSQL's names. Raises psycopg.ProgrammingError."""
    return {name: str(value) for name, value in conninfo_to_dict(address).items()}


def as_url(given: Mapping[str, str]) -> str:
    """Parts as one URL. A socket's folder stands among the parameters, where every tool looks for it."""
    parts = dict(given)
    login = quote(parts.pop("user", ""), safe="") + (f":{quote(parts.pop('password'), safe='*')}" if "password" in parts else "")
    place = parts.pop("host", "") if not parts.get("host", "").startswith("/") else ""
    port = f":{parts.pop('port')}" if place and "port" in parts else ""
    base = f"postgresql://{login}{'@' if login else ''}{place}{port}/{quote(parts.pop('dbname', ''), safe='')}"
    rest = "&".join(f"{name}={quote(value, safe='/*')}" for name, value in sorted(parts.items()))
    return f"{base}?{rest}" if rest else base


def for_tenant(address: str, tenant: str) -> str:
    """The address with the tenant's rows alone in view, as a URL. Raises psycopg.ProgrammingError."""
    parts = parts_of(address)
    options = f"{parts.get('options', '')} -c runfold.tenant={tenant}"
    return as_url({**parts, "options": options.strip()})


def waiting(address: str, seconds: float) -> str:
    """The address, which is not waited for any longer unless it says itself for how long. Raises psycopg.ProgrammingError."""
    return make_conninfo(address, **{"connect_timeout": libpq_seconds(seconds), **conninfo_to_dict(address)})


def libpq_seconds(seconds: float) -> int:
    """A time to connect as PostgreSQL's library takes it: whole seconds, two at least."""
    return max(2, round(seconds))
