"""Sessions: the graph of what happened, its read side, and the commit of a turn."""
