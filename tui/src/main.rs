//! The `supervisor-tui` binary.

fn main() -> std::process::ExitCode {
    supervisor_tui::main()
}
