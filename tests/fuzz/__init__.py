"""Fuzz targets: whatever bytes they are given, only declared errors occur; see README.md."""
