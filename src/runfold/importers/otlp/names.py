"""The names of attributes, by what they say: OpenTelemetry's first, today's before earlier ones, then those of other conventions.

Others are Traceloop's (`traceloop.*`, `llm.usage.*`), OpenInference's (`llm.*`, `tool.*`, `input.value`), the AI SDK's (`ai.*`)
and Pydantic AI's. Where messages stand is not here but in `words`.
"""

TOKENS = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "total_tokens": (
        "gen_ai.usage.total_tokens",
        "llm.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
    ),
    "cache_read_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
    ),
    "cache_creation_input_tokens": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "reasoning_output_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
    ),
}
"""Our names of counts, and those of the conventions."""
CACHED_INSIDE = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.cache_read",
    "llm.token_count.prompt_details.cache_write",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.inputTokenDetails.cacheWriteTokens",
)
"""Counts of what is cached that are part of the input, whoever's the model is."""
USAGE = (".usage.", "llm.token_count.", "llm.cost.")
"""What the names of attributes have in them that tell of usage."""
COSTS = ("gen_ai.usage.cost", "llm.cost.total")
TIERS = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "gen_ai.response.service_tier",
)

AGENTS = ("gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.workflow.name")
OTHER_AGENTS = ("agent.name", "agent_name", "ai.telemetry.functionId")
"""What names an agent on spans of the other conventions alone."""
PROVIDERS = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
MODELS = (
    "gen_ai.request.model",
    "llm.request.model_name",
    "llm.model_name",
    "embedding.model_name",
    "ai.model.id",
)
RESPONSE_MODELS = ("gen_ai.response.model", "llm.response.model_name", "ai.response.model")
FINISH_REASONS = ("gen_ai.response.finish_reasons", "llm.finish_reason", "ai.response.finishReason")

TOOLS = ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
CALL_IDS = ("gen_ai.tool.call.id", "ai.toolCall.id", "tool_call.id", "tool.id")
ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "traceloop.entity.input",
    "ai.toolCall.args",
    "tool_call.function.arguments",
    "input.value",
)
RESULTS = ("gen_ai.tool.call.result", "tool_response", "traceloop.entity.output", "ai.toolCall.result", "output.value")

EVENTS = "events"
"""What Pydantic AI said at first of a model call: an event for each message."""
ALL_MESSAGES, ALL_EVENTS = "pydantic_ai.all_messages", "all_messages_events"
"""What Pydantic AI says at a run's end: all that was said in it, and before it."""
