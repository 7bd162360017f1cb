//! Consumer groups and committed offsets, over sockets.

use super::*;

#[test]
fn x() {
    let _ = broker();
}
