"""OTLP files with GenAI traces: their encodings, what their spans mean, and how a conversation's spans become acts."""
