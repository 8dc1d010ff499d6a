//! Placeholder.
pub mod config;
pub mod notify;
pub mod probe;
pub mod upstream;
/// Runs it.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
