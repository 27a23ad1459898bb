"""Errors in the form that all of Google's APIs share, and what they mean (providers.md 4.2, 4.7).

{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "...", "details": [{"@type": "...", ...}]}}
"""

from __future__ import annotations

import json
import re

from lash.host.providers.wire import obj, objects, string
from lash.runtime.providers.classifier import DefaultClassifier
from lash.runtime.providers.failure import ProviderFailure

_DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


def detailed(failure: ProviderFailure) -> ProviderFailure:
    """The failure with what its body says in Google's form: the error's name, and how long to wait.

    The name is the reason that a detail gives, else the status. A header's word on the wait counts before the body's.
    """
    try:
        body: object = json.loads(failure.raw or "")
    except (ValueError, RecursionError):
        return failure
    listed = objects(body)
    error = obj((listed[0] if listed else obj(body)).get("error"))
    details = objects(error.get("details"))
    name = next((found for detail in details if (found := string(detail.get("reason")))), string(error.get("status")))
    wait = failure.retry_after_s
    if wait is None and not {"retry-after", "retry-after-ms"} & failure.headers.keys():
        found = (_DURATION.fullmatch(string(detail.get("retryDelay"))) for detail in details)
        wait = next((float(one[1]) for one in found if one), None)
    return failure.replace(code=name or failure.wire_code, retry_after_s=wait)


class GoogleClassifier(DefaultClassifier):
    """The rules for all, and two of Google's ways to say what others say with a status of its own."""

    def classify(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure with everything settled."""
        failure = detailed(failure)
        classified = super().classify(failure)
        code = failure.wire_code or ""
        if code.startswith("API_KEY_"):
            # A key that is not valid is refused like any other wrong argument, with status 400.
            return classified.replace(kind="auth", retryable=False)
        unpaid = failure.status == 403 or code == "FAILED_PRECONDITION"
        if unpaid and "billing" in f"{code} {failure.message}".lower():
            return classified.replace(kind="quota", retryable=False)
        return classified
