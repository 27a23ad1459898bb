"""`python -m lashlang`: the command line, see `lashlang.cli`."""

import sys

from lashlang.cli import main

if __name__ == "__main__":
    sys.exit(main())
