//! Small whole programs; see the files under `examples/`.
