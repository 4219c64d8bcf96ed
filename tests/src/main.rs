//! The server as a binary of this package, so that the tests own one to start and to kill.

fn main() -> std::process::ExitCode {
    taffrail_server::main()
}
