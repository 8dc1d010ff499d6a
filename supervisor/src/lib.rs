//! Placeholder.
pub mod config;
pub mod control;
/// Runs it.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
