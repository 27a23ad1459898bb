"""The version of the distribution, in the one place that the build, ``lash`` and ``lashlang`` read it from."""

__version__ = "0.1.0.dev0"
