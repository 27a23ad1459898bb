"""Model calls: `ProviderHandle`, the one thing the runtime calls, and the parts it is made of (providers.md 1-4).

What a vendor's wire looks like is known to transports in `lash.host.providers`, and to nothing here. Retry, timeouts,
admission and the classification of failures are here, and nowhere else.
"""
