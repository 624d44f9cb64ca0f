//! Where the pages are served, and the token without which nothing is served beyond this machine.

use std::fmt;
use std::io::{Error, ErrorKind, Read, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;

/// The port that is tried first.
const PORT: u16 = 8787;
/// Ports after it that are tried before any free one is taken.
const MORE: u16 = 50;
/// Fewest characters of a token: 128 bits in hexadecimal.
const TOKEN_CHARS: usize = 32;

/// Where to serve.
///
/// ```
/// use mapfold_watch::DashboardAddress;
/// assert_eq!("auto".parse(), Ok(DashboardAddress::Auto));
/// assert_eq!(":0".parse(), Ok(DashboardAddress::At("127.0.0.1:0".into())));
/// assert!("8787".parse::<DashboardAddress>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DashboardAddress {
    /// Nowhere.
    Off,
    /// 127.0.0.1:8787, or the next port that is free; nowhere when there is none.
    #[default]
    Auto,
    /// Exactly there; port 0 is any that is free.
    At(String),
}

impl FromStr for DashboardAddress {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let bad = || format!("{text:?}: write off, auto, :PORT or HOST:PORT, such as 127.0.0.1:8787");
        match text {
            "off" => return Ok(DashboardAddress::Off),
            "auto" => return Ok(DashboardAddress::Auto),
            _ => {}
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        port.parse::<u16>().map_err(|_| bad())?;
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(DashboardAddress::At(format!("{host}:{port}")))
    }
}

impl fmt::Display for DashboardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DashboardAddress::Off => f.write_str("off"),
            DashboardAddress::Auto => f.write_str("auto"),
            DashboardAddress::At(at) => f.write_str(at),
        }
    }
}

impl DashboardAddress {
    /// A listener there. Beyond loopback only where somebody else may ask.
    pub(super) fn bind(&self, is_guarded: bool) -> Result<TcpListener> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self {
            DashboardAddress::Off => Err(Error::new(ErrorKind::InvalidInput, "the dashboard is off")),
            DashboardAddress::Auto => {
                let near = (PORT..=PORT + MORE).find_map(|port| TcpListener::bind(local(port)).ok());
                near.map_or_else(|| TcpListener::bind(local(0)), Ok)
            }
            DashboardAddress::At(text) => {
                let all: Vec<SocketAddr> = text.to_socket_addrs()?.collect();
                let is_safe = |a: &SocketAddr| is_loopback(a.ip());
                if !is_guarded && !all.iter().all(is_safe) {
                    let what = format!("{text} can be reached from other machines: that needs a token");
                    return Err(Error::new(ErrorKind::PermissionDenied, what));
                }
                TcpListener::bind(&*all)
            }
        }
    }
}

/// Whether only this machine can reach it.
pub(super) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// A shared secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// The token in a file that only its owner can read: one line, 32 characters or more.
    ///
    /// # Errors
    /// When it cannot be read, others can read it too, or it is too short.
    pub fn read(path: &Path) -> Result<Token> {
        let refuse = |why: &str| Error::new(ErrorKind::InvalidData, format!("{}: {why}", path.display()));
        let mut file =
            std::fs::File::open(path).map_err(|e| Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions()) & 0o077 != 0 {
            return Err(refuse("others can read this token; chmod 600 it"));
        }
        let mut text = String::new();
        file.by_ref().take(4096).read_to_string(&mut text)?;
        let token = text.trim();
        if token.len() < TOKEN_CHARS || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("a token is one line of 32 characters or more, such as `openssl rand -hex 32` gives"));
        }
        Ok(Token(token.to_owned()))
    }

    /// Whether it is this one; takes as long for a wrong one as for the right one of its length.
    pub(super) fn is(&self, other: &str) -> bool {
        let differs = self.0.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        self.0.len() == other.len() && std::hint::black_box(differs) == 0
    }
}
