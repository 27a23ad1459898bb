"""The half of a turn that does I/O: it carries out what the turn machine asks for, and commits what came of it."""
