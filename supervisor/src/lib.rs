//! Placeholder.
pub mod config;
pub mod process;
/// Runs it.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
