"""lash: an agent runtime in which the model acts by writing small sandboxed programs.

The language and its virtual machine are the package :mod:`lashlang`. What will stand on them (turn machine, sessions,
providers, modes) is not written yet; until then this package holds its version and the places where those parts go.
"""

from lashlang._version import __version__

__all__ = ["__version__"]
