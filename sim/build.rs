//! Stops a build without the flag before anything large is built, and notes which compiler builds.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a build script asks its cargo and its compiler"
)]

use std::process::Command;

const WHAT_TO_DO: &str = "taffrail-sim needs the flag `--cfg madsim`: put the two lines \
    `rustflags = [\"--cfg\", \"madsim\"]` and `rustdocflags = [\"--cfg\", \"madsim\"]` into the [build] section of \
    .cargo/config.toml, and set neither RUSTFLAGS nor RUSTDOCFLAGS, which would replace them, nor `rustflags` in a [target.…] \
    section, also in ~/.cargo/config.toml, which would too: where there is one, put the flags there as well";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_MADSIM").is_none() {
        println!("cargo::error={WHAT_TO_DO}");
        return;
    }
    let rustc = std::env::var_os("RUSTC").expect("cargo says which compiler it uses");
    let said = Command::new(rustc).arg("-V").output();
    let said = said.expect("the compiler says its version").stdout;
    let version = String::from_utf8_lossy(&said);
    println!("cargo::rustc-env=TAFFRAIL_SIM_COMPILER={}", version.trim());
}
