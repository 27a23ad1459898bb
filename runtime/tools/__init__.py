"""Tools: their definitions and registry, how they are shown, checked and run. Nothing here knows of a mode."""
