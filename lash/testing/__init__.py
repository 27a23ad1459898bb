"""What users of lash can test with: the runner for files of language cases (`lash.testing.cases`)."""
