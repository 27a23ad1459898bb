"""Standard mode: the model acts by the native tool calls of its provider."""
