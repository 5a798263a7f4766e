"""Addresses of databases, taken apart and written as a URL."""

import re
from collections.abc import Mapping
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo


def parts_of(address: str) -> dict[str, str]:
    """The parts of a URL, or of `name=value` pairs, by PostgreSQL's names. Raises psycopg.ProgrammingError."""
    return {name: str(value) for name, value in conninfo_to_dict(address).items()}


def fault_of(address: str) -> str | None:
    """Tell why an address cannot be used, and nothing of what stands in it but a parameter's name: it may hold a password."""
    unreadable = "cannot be read as the address of a PostgreSQL"
    try:
        parts = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        unknown = _unknown_parameter(address)
        return f"has a parameter that PostgreSQL does not know, {unknown}" if unknown else unreadable
    try:
        timeout_from_conninfo(parts)
    except psycopg.ProgrammingError:
        return "takes a whole number of seconds for the parameter connect_timeout"
    return None


def _unknown_parameter(address: str) -> str | None:
    """Return the first parameter of a URL that is none; None where what looks like one may be of a password."""
    asked = address.partition("?")[2]
    names = [pair.partition("=")[0] for pair in asked.split("&")]
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    unknown = next((name for name in names if name not in known), "")
    return unknown if "@" not in asked and re.fullmatch("[A-Za-z_]{1,40}", unknown) else None


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
