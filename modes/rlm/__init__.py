"""RLM mode: the model acts by writing one Lashlang program per reply, and the program runs in the session's machine."""
