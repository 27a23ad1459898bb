"""What users of lash can test with.

`lash.testing.cases` runs files of language cases, `lash.testing.scenarios` files of whole sessions with a scripted
model (`lash.testing.scripted`).
"""
