"""What the model reads in RLM mode: execution prompt, tool docs, projected variables, history, iteration tail."""
