//! Puts the commit into `kps --version`, where there is one.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    let git = Command::new("git").args(["rev-parse", "--short=10", "HEAD"]).output();
    if let Ok(out) = git
        && out.status.success()
        && let Ok(hash) = String::from_utf8(out.stdout)
    {
        let version = std::env!("CARGO_PKG_VERSION");
        // Not KPS_...: `cargo run` leaves it in the environment, where such names are settings.
        println!("cargo::rustc-env=GIT_VERSION_OF_KPS={version} ({})", hash.trim());
    }
}
