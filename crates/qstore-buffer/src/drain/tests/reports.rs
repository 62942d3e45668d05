//! What is reported through `tracing`: the first loss of each kind and the first error, once.
