//! `-- COMMAND`: a child with the broker's address.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;

use crate::commands::Exit;
use crate::commands::child::{self, Relay};
use crate::commands::output::plain;
use crate::console;
use crate::settings::Environment;
use crate::settings::env::own_folder;

/// Where programs are when there is no PATH, as the C library has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Runs a command to its end.
pub(super) fn run(relay: &Relay, words: &[OsString], addr: SocketAddr) -> Exit {
    let Some((program, args)) = words.split_first() else { return Exit::Done };
    let mut command = child::command(program);
    command.args(args).env("KPS_BOOTSTRAP_SERVER", addr.to_string()).env("PATH", path());
    relay.run(&mut command).unwrap_or_else(|e| not_started(program, &e))
}

/// PATH with our own folder first.
fn path() -> OsString {
    let environment = Environment::of_process();
    let rest = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH)).to_owned();
    match own_folder() {
        Ok(mut path) => {
            path.push(":");
            path.push(rest);
            path
        }
        Err(e) => {
            console::warn(format!("kps is not put on PATH: {}", plain(&e)));
            rest
        }
    }
}

/// One line about a command that cannot be run, and the code that shells give it.
fn not_started(program: &OsStr, e: &io::Error) -> Exit {
    let name = program.to_string_lossy();
    let is_missing = e.kind() == io::ErrorKind::NotFound;
    if is_missing && !name.contains('/') {
        console::error(format!("{name}: command not found"));
    } else {
        console::error(format!("{name}: {}", plain(e)));
    }
    Exit::Command(if is_missing { 127 } else { 126 })
}
