//! End-to-end tests of mapfold.
