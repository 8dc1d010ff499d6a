//! The `supervisord` binary.

fn main() -> std::process::ExitCode {
    supervisor::main()
}
