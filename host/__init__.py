"""Tools, providers, stores, effects, plugins and tracing: not written yet."""
