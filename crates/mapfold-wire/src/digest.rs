//! SHA-256 of a file, by which a program that is copied to another host is named and checked. Here because this room
//! names ring already.

use std::io::{ErrorKind, Read, Result};

/// The digest of all that `source` gives, as 64 hexadecimal digits.
///
/// ```
/// let empty = mapfold_wire::sha256(&mut &b""[..])?;
/// assert_eq!(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of the source.
pub fn sha256(source: &mut impl Read) -> Result<String> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = vec![0; 128 * 1024];
    loop {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => context.update(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
