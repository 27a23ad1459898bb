"""The pure turn machine, sessions and seams: not written yet."""
