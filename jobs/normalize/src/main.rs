//! Normalizing as a program of its own.
fn main() -> std::process::ExitCode {
    mapfold::main(mapfold_job_normalize::normalize)
}
