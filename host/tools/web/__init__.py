"""The web: search, and the text of pages, by a service or by lash itself."""
