"""Where sessions and attachments are kept.

Session stores are one body of rules over two media. `session.SessionStore` implements the seam
`lash.runtime.seams.persistence`; what a commit, a lease, queued input and a collection are is written once, as plain
functions over rows (`commit`, `leases`, `inputs`, `branches`, `reading`). A medium provides the rows and transactions:
`lash.host.stores.sqlite` keeps one file per session, `lash.host.stores.memory` keeps dictionaries. `records` is the
form in which values lie in rows. `attachments` holds images.
"""
