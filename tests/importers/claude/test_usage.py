"""What an answer used, as Anthropic tells it: each run of a model once, by its own name."""

from typing import Any

import pytest

from runfold.importers.claude.usage import provider_of, usages_of

ADVICE = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 823, "output_tokens": 1612}


def said(input_tokens: int, output_tokens: int, **more: Any) -> dict[str, Any]:
    return {"type": "message", "input_tokens": input_tokens, "output_tokens": output_tokens, **more}


def used(usage: dict[str, Any], model: str | None = "claude-sonnet-4-5") -> list[tuple[Any, ...]]:
    faults: list[str] = []
    found = usages_of(usage, model, faults.append)
    assert faults == []
    return [(each.iteration, each.model, each.counts.input_tokens, each.counts.output_tokens) for each in found]


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
    (own,) = usages_of({**usage, "iterations": [said(1, 2, cache_creation_input_tokens=100)]}, OWN, pytest.fail)
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
    own, advice = usages_of(usage, OWN, pytest.fail)
    assert (own.raw, own.service_tier, own.web_search_requests) == (usage, "fast", 3)
    assert (advice.raw, advice.web_search_requests) == (ADVICE, None)


@pytest.mark.parametrize("iteration", [{"output_tokens": "n/a"}, {"input_tokens": 12.5}])
def test_an_odd_count_of_an_iteration_is_named_by_its_place_and_the_others_stand(iteration: dict[str, Any]) -> None:
    faults: list[str] = []
    usage = {"input_tokens": 1, "output_tokens": 2, "iterations": [said(1, 2), {"type": "message", **iteration}]}
    own, _ = usages_of(usage, OWN, faults.append)
    assert (own.counts.input_tokens, own.counts.output_tokens, len(faults)) == (1, 2, 1)
    assert "iterations[1]" in faults[0]


COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
ODD = (True, False, -1, 0.5, "n/a", [], {}, float("inf"), 10**30)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("name", [*COUNTS, "cache_creation", "server_tool_use", "service_tier", "speed", "iterations"])
def test_what_is_odd_of_a_usage_is_told_and_the_rest_is_counted(name: str, odd: Any) -> None:
    faults: list[str] = []
    whole = dict.fromkeys(COUNTS, 7)
    (own,) = usages_of({**whole, name: odd}, OWN, faults.append)
    told = {one: value for one, value in own.fields().items() if one in COUNTS and value is not None}
    assert told == {one: 7 for one in COUNTS if one != name}
    fits = (name in {"service_tier", "speed"} and odd == "n/a") or (name == "iterations" and odd == [])
    fits = fits or (name in {"cache_creation", "server_tool_use"} and odd == {})
    assert [name in fault for fault in faults] == ([] if fits else [True])


def test_no_part_of_what_was_kept_exceeds_its_whole() -> None:
    faults: list[str] = []
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 6}}
    (own,) = usages_of(usage, OWN, faults.append)
    assert (own.counts.cache_creation_input_tokens, own.counts.kept_an_hour, len(faults)) == (5, None, 1)


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
