"""Tools that come with lash."""
