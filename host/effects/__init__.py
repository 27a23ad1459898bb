"""Effect hosts: carrying effects out in this process, with or without a journal."""
