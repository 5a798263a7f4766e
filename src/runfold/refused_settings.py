"""What is said of a setting that holds no valid value: its name, what it takes, what was given, and what to do."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runfold.domain.values import PATTERN_WORDS
from runfold.errors import UsageError, shortened

UNSET = "unset it"
"""What is done with a setting that is not wanted, also in `settings.py`; an option is left out instead."""
NEXT_STEP = f"set a valid value, or {UNSET}"
"""What helps where a refusal names nothing better. It stands last, as every next step does."""
_MOST_SHOWN = 60
_TAKES = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "finite_number": "a number that is finite",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "string_too_short": "{min_length} characters or more",
}


def refused_setting(error: ValidationError, prefix: str) -> UsageError:
    """Return what is said of the first setting that is not valid. No secret is shown: no type refuses one."""
    fault = error.errors(include_url=False)[0]
    setting, *inner = (str(step) for step in fault["loc"])
    name = f"{prefix}{setting}".upper()
    fact = f"{name}{'.'.join(['', *inner])}{_fact(fault)}"
    return UsageError(f"{fact}{'' if ';' in fact else f'; {NEXT_STEP}'}", setting=name)


def _fact(fault: ErrorDetails) -> str:
    told = {name: _plain(fact) for name, fact in fault.get("ctx", {}).items()}
    if fault["type"] == "value_error":
        return f": {told['error']}"
    if (takes := _TAKES.get(fault["type"])) is not None:
        return f" takes {takes.format(**told)}, not {shortened(repr(fault['input']), _MOST_SHOWN)}"
    if fault["type"] == "extra_forbidden":
        return " is not known"
    return f": {PATTERN_WORDS.get(told.get('pattern', ''), fault['msg'])}"


def _plain(fact: Any) -> Any:
    return int(fact) if isinstance(fact, float) and fact.is_integer() else fact
