//! The `taffrail` command. Everything is in the library, so that tests can reach it too.

fn main() {
    let code = taffrail_server::run(&taffrail_os::process::arguments());
    taffrail_os::process::exit(code);
}
