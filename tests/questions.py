"""What questions must be given, beside ids."""

from collections.abc import Mapping

REQUIRED: Mapping[str, Mapping[str, str]] = {"run_samples.draw": {"seed": "autumn"}, "search.list": {"words": "the"}}
"""By the public name of a question."""
