//! Which C library a program asks for: the newest `GLIBC_x.y` among the versions of the symbols that it needs.
//!
//! What it does not do: look at what the program loads by itself while it runs.

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::FileHeader;
use object::{Endianness, FileKind};
use std::fmt;

/// A version of the GNU C library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc(Vec<u32>);

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl Glibc {
    fn parse(name: &str) -> Option<Glibc> {
        let numbers = name.strip_prefix("GLIBC_")?.split('.').map(|n| n.parse().ok());
        numbers.collect::<Option<Vec<u32>>>().map(Glibc)
    }
}

/// The newest version that is needed; `None` when nothing of that library is.
///
/// # Errors
/// When these are not the bytes of a program or library for Linux.
pub fn glibc(bytes: &[u8]) -> Result<Option<Glibc>, String> {
    match FileKind::parse(bytes) {
        Ok(FileKind::Elf64) => newest::<FileHeader64<Endianness>>(bytes),
        Ok(FileKind::Elf32) => newest::<FileHeader32<Endianness>>(bytes),
        _ => Err("this is no program for Linux (no ELF file)".to_owned()),
    }
}

fn newest<E: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Option<Glibc>, String> {
    let damaged = |e: object::read::Error| format!("damaged: {e}");
    let header = E::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, bytes).map_err(damaged)?;
    let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes).map_err(damaged)? else { return Ok(None) };
    let strings = sections.strings(endian, bytes, link).map_err(damaged)?;
    let mut newest = None;
    while let Some((_, mut versions)) = needs.next().map_err(damaged)? {
        while let Some(version) = versions.next().map_err(damaged)? {
            let name = version.name(endian, strings).map_err(damaged)?;
            newest = newest.max(Glibc::parse(&String::from_utf8_lossy(name)));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let parse = |name| Glibc::parse(name).unwrap();
        assert!(parse("GLIBC_2.4") < parse("GLIBC_2.34") && parse("GLIBC_2.2.5") < parse("GLIBC_2.3"));
        assert_eq!(parse("GLIBC_2.2.5").to_string(), "2.2.5");
        assert_eq!(Glibc::parse("GCC_3.0"), None);
        assert_eq!(Glibc::parse("GLIBC_PRIVATE"), None);
    }

    #[test]
    fn this_program_asks_for_what_objdump_says() {
        let me = std::env::current_exe().unwrap();
        let found = glibc(&std::fs::read(&me).unwrap()).unwrap().unwrap();
        let Ok(said) = std::process::Command::new("objdump").arg("-T").arg(&me).output() else { return };
        let text = String::from_utf8_lossy(&said.stdout);
        let versions = text.split(|c: char| c.is_whitespace() || "()".contains(c)).filter_map(Glibc::parse);
        assert_eq!(Some(found), versions.max());
        assert!(glibc(b"#!/bin/sh").is_err() && glibc(b"\x7fELF").is_err());
    }
}
