"""What an answer used, as Anthropic tells it: each run of a model once, by its own name."""

from typing import Any

import pytest

from runfold.errors import InvalidEvent
from runfold.importers.claude.usage import provider_of, usages_of

ADVICE = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 823, "output_tokens": 1612}


def said(input_tokens: int, output_tokens: int, **more: Any) -> dict[str, Any]:
    return {"type": "message", "input_tokens": input_tokens, "output_tokens": output_tokens, **more}


def used(usage: dict[str, Any], model: str | None = "claude-sonnet-4-5") -> list[tuple[Any, ...]]:
    return [(each.iteration, each.model, each.counts.input_tokens, each.counts.output_tokens) for each in usages_of(usage, model)]


OWN = "claude-sonnet-4-5"


@pytest.mark.parametrize(
    ("usage", "right"),
    [
        ({"input_tokens": 412, "output_tokens": 531}, [(None, OWN, 412, 531)]),
        ({"input_tokens": 412, "output_tokens": 531, "iterations": []}, [(None, OWN, 412, 531)]),
        ({"input_tokens": 412, "output_tokens": 531, "iterations": [said(412, 531)]}, [(None, OWN, 412, 531)]),
        (  # an advisor is not in the sum
            {"input_tokens": 412, "output_tokens": 531, "iterations": [said(412, 531), ADVICE]},
            [(None, OWN, 412, 531), (1, "claude-opus-4-8", 823, 1612)],
        ),
        (  # the input of the sum is the first iteration's, its output that of both
            {"input_tokens": 412, "output_tokens": 531, "iterations": [said(412, 89), ADVICE, said(1348, 442)]},
            [(None, OWN, 412, 89), (1, "claude-opus-4-8", 823, 1612), (2, OWN, 1348, 442)],
        ),
        (  # a gateway that adds all of it up
            {"input_tokens": 1235, "output_tokens": 2143, "iterations": [said(412, 531), ADVICE]},
            [(None, OWN, 412, 531), (1, "claude-opus-4-8", 823, 1612)],
        ),
        (  # more in the sum than the iterations tell of: nothing is lost, nothing twice
            {"input_tokens": 412, "output_tokens": 9000, "iterations": [said(412, 531), ADVICE]},
            [(None, OWN, 412, 9000), (1, "claude-opus-4-8", 823, 1612)],
        ),
        (  # a compaction is the same model's
            {
                "input_tokens": 23_000,
                "output_tokens": 1_000,
                "iterations": [
                    {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                    said(23_000, 1_000),
                ],
            },
            [(None, OWN, 23_000, 1_000), (0, OWN, 180_000, 3_500)],
        ),
        (  # of another kind and nameless: nobody knows which model
            {"input_tokens": 1, "output_tokens": 2, "iterations": [said(1, 2), {"type": "critic", "output_tokens": 7}]},
            [(None, OWN, 1, 2), (1, None, None, 7)],
        ),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": None}, [(None, OWN, 1, 2)]),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": ["?"]}, [(None, OWN, 1, 2)]),
    ],
)
def test_each_run_of_a_model_is_one_usage_and_never_counted_beside_its_sum(
    usage: dict[str, Any], right: list[tuple[Any, ...]]
) -> None:
    assert used(usage) == right


def test_what_a_sum_tells_more_closely_than_its_iterations_is_believed() -> None:
    written = {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 95}
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 100, "cache_creation": written}
    (own,) = usages_of({**usage, "iterations": [said(1, 2, cache_creation_input_tokens=100)]}, OWN)
    assert own.counts.kept_an_hour == 95


def test_tiers_searches_and_the_providers_own_words_are_kept() -> None:
    usage = {
        "input_tokens": 412,
        "output_tokens": 531,
        "service_tier": "standard",
        "speed": "fast",
        "server_tool_use": {"web_search_requests": 3},
        "iterations": [said(412, 531), ADVICE],
    }
    own, advice = usages_of(usage, OWN)
    assert (own.raw, own.service_tier, own.web_search_requests) == (usage, "fast", 3)
    assert (advice.raw, advice.web_search_requests) == (ADVICE, None)


@pytest.mark.parametrize("iteration", [{"output_tokens": "n/a"}, {"input_tokens": 12.5}])
def test_an_odd_count_of_an_iteration_is_named_by_its_place(iteration: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent, match=r"iterations\[1\]"):
        usages_of({"input_tokens": 1, "output_tokens": 2, "iterations": [said(1, 2), {"type": "message", **iteration}]}, OWN)


@pytest.mark.parametrize(
    ("message_id", "provider"),
    [
        ("msg_01ABC", "anthropic"),
        ("msg_bdrk_01ABC", "aws.bedrock"),
        ("msg_vrtx_01ABC", "gcp.vertex_ai"),
        ("gen-1760000000-abc", "openrouter"),
        (None, "anthropic"),
        ("", "anthropic"),
    ],
)
def test_whose_api_answered_is_told_by_the_answers_id(message_id: str | None, provider: str) -> None:
    assert provider_of(message_id) == provider
