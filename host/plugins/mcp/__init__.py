"""The plugin `mcp`: tools of servers that speak the Model Context Protocol (plugins.md 11).

    config      what is known of a server before it is asked anything
    stdio, http the ways to it, with bounds that the SDK does not have
    stderr      what a program says beside its messages, as log records
    guard       what of the server's messages gets through to the SDK
    server      one server: connecting, listing, calls, connecting again
    listing     its tools, under names of ours
    schemas     whether a stranger's schema can be used
    results     its answers and errors, as results of tools
    outputs     its structured results against their schemas
    pool        the servers of a core, which come and go
    plugin      all of it as a plugin

A server is a stranger's program. Whatever it does harms calls of its own tools at most. Only `guard`, `stdio`, `http`,
`server` and `results` import the SDK, and they are imported with the first server: it is an extra of the package.
"""
