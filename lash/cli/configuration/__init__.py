"""The configuration of the command line: TOML files of the person and of the project (cli_and_examples.md 3)."""
