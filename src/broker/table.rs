//! What is served, for the README.

use std::fmt::Write;

use super::apis::SERVED;
use crate::wire::APIS;

/// The APIs that are announced, in the order of their keys, as a table.
pub fn markdown_table() -> String {
    let mut out = String::from("| API | key | versions |\n|---|---|---|\n");
    for api in APIS.iter().filter(|api| SERVED.contains(&api.key)) {
        let (min, max) = (api.min, api.max);
        let versions = if min == max { min.to_string() } else { format!("{min} to {max}") };
        let _ = writeln!(out, "| {} | {} | {versions} |", api.name, api.key as i16);
    }
    out
}
