"""The virtual machine itself: Zig sources, their build, and the compiled `vm.wasm` that the package ships."""
