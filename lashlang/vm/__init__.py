"""The host's side of the virtual machine: wasmtime engine, value codec, machine, diagnostics."""
