"""Tools that read, list, find and write files, all under one `FilePolicy`."""
