"""Programs, hosts and answers made to break the machine, and what must be true after each of them."""
