//! Aggregation as a program of its own.
fn main() -> std::process::ExitCode {
    mapfold::records_main(mapfold_job_aggregate::aggregate)
}
