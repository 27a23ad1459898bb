"""What the runtime needs from outside, as Protocols: clock, ids, effect host, stores, attachments, traces."""
