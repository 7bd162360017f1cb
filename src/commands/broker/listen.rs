//! `--listen`: what was typed, the address it means, and what is to be said about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// The port of Kafka, and of `-b` when it is left out.
const PORT: u16 = 9092;
/// Without `--listen`.
pub(super) const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
/// Without `--listen`, for a command that is told the address.
pub(super) const DEFAULT_FOR_COMMAND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The address that was typed; a name is looked up.
///
/// # Errors
/// One line that says what is allowed.
pub(super) fn parse(typed: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("--listen {typed}: not HOST:PORT, PORT, :PORT or [::1]:PORT");
    let (host, port) = split(typed).ok_or_else(wrong)?;
    if host.is_empty() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let unknown = |why: String| format!("--listen {typed}: {why}");
    let found: Vec<_> = match (host, port).to_socket_addrs() {
        Ok(found) => found.collect(),
        // What the system says stands behind what was being done.
        Err(e) => return Err(unknown(e.to_string().rsplit(": ").next().unwrap_or_default().to_owned())),
    };
    // A name that has both forms, as localhost, means what most clients try first.
    let best = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| unknown("this name has no address".to_owned()))
}

/// Host and port; no host means this machine only.
fn split(typed: &str) -> Option<(&str, u16)> {
    if !typed.is_empty() && typed.bytes().all(|b| b.is_ascii_digit()) {
        return Some(("", typed.parse().ok()?));
    }
    let (host, port) = match typed.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ if typed.is_empty() => return None,
        _ => (typed, PORT),
    };
    if let Some(bare) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return bare.parse::<Ipv6Addr>().is_ok().then_some((bare, port));
    }
    let is_name = !host.starts_with('-')
        && !host.contains(|c: char| ":[]/,@".contains(c) || c.is_whitespace() || c.is_control());
    is_name.then_some((host, port))
}

/// What to warn of when others than this machine can connect.
pub(super) fn warning(addr: SocketAddr) -> Option<String> {
    let is_local = addr.ip().to_canonical().is_loopback();
    (!is_local).then(|| {
        format!(
            "listening at {addr}: there is no authentication, whoever reaches it can read, write and delete everything"
        )
    })
}

/// The address to connect to from this machine.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, addr.port()).into(),
        _ => addr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_typed_in_many_ways() {
        for (typed, expected) in [
            ("127.0.0.1:9092", "127.0.0.1:9092"),
            ("127.0.0.2:0", "127.0.0.2:0"),
            ("127.0.0.1", "127.0.0.1:9092"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("9093", "127.0.0.1:9093"),
            ("0", "127.0.0.1:0"),
            (":9093", "127.0.0.1:9093"),
            ("[::1]:9092", "[::1]:9092"),
            ("[::1]", "[::1]:9092"),
            ("localhost:7", "127.0.0.1:7"),
        ] {
            assert_eq!(parse(typed).map(|addr| addr.to_string()).as_deref(), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn what_is_no_address_is_named_with_what_would_be() {
        for typed in ["", ":", "65536", "-1", "127.0.0.1:", "127.0.0.1:x", "::1:9092", "[::1", "[x]:1"] {
            let line = parse(typed).unwrap_err();
            assert_eq!(line, format!("--listen {typed}: not HOST:PORT, PORT, :PORT or [::1]:PORT"));
        }
        for typed in ["a b:1", "http://x:1", "a:1,b:2"] {
            assert!(parse(typed).unwrap_err().contains("not HOST:PORT"), "{typed}");
        }
        let line = parse("no-such-host.invalid:1").unwrap_err();
        assert!(line.starts_with("--listen no-such-host.invalid:1: ") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn only_this_machine_needs_no_warning() {
        for local in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(warning(local.parse().unwrap()), None, "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let line = warning(open.parse().unwrap()).unwrap();
            assert!(line.contains(open) && line.contains("no authentication"), "{line}");
        }
    }

    #[test]
    fn every_address_can_be_connected_to() {
        for (listening, expected) in
            [("0.0.0.0:5", "127.0.0.1:5"), ("[::]:5", "[::1]:5"), ("10.0.0.1:5", "10.0.0.1:5")]
        {
            assert_eq!(reachable(listening.parse().unwrap()).to_string(), expected);
        }
    }
}
