"""The shell: commands that a model runs, outside of every file policy; see `lash.host.tools.shell.tools`."""
