"""Tests of the providers that speak to something."""
