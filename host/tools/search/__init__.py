"""The tool `grep`: search in the contents of files, by `rg` where it is installed."""
