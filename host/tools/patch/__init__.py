"""The tool `apply_patch`: edits of several files in one text, all of them made or none."""
