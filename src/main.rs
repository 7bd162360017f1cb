//! `kps`: parse, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use kps::cli::{Parsed, asks_for_json, parse};
use kps::commands::{Exit, run};
use kps::console;

/// rskafka allocates four times a record: the system's allocator costs it a quarter of its time
/// (README, benchmarks).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let exit = match parse(typed.clone()) {
        Parsed::Run(cli) => run(&cli),
        Parsed::Print(text) => {
            // A closed pipe is no error: `kps --help | head -1`.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Exit::Done
        }
        Parsed::Wrong(line) => {
            if asks_for_json(&typed) {
                console::write_json();
            }
            console::error(line);
            Exit::Usage
        }
    };
    exit.into()
}
