//! The mapfold command.
fn main() {}
