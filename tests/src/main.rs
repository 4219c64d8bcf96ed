//! The server as a binary of this package, so that the tests own one to start and to kill.

fn main() {
    let code = taffrail_server::run(&taffrail_os::process::arguments());
    taffrail_os::process::exit(code);
}
