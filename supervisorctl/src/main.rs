//! The `supervisorctl` binary.

fn main() -> std::process::ExitCode {
    supervisorctl::main()
}
