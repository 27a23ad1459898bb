"""`python -m lash.cli`: the command line, see `lash.cli`."""

from lash.cli import main

if __name__ == "__main__":
    main()
