//! Placeholder.
pub mod config;
pub mod logs;
/// Runs it.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
