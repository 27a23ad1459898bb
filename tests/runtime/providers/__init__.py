"""Tests of the provider layer without wires: handle, ladder, classifier, admission, options, models."""
