"""The census of the standard library: a program and the tools it may use."""
