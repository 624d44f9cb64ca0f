//! `mapfold cat` and `mapfold head`: the bytes of files on stdout, as they are.

use super::named;
use mapfold::store::{Loc, Stores};
use mapfold::{Result, print_bytes};
use std::process::ExitCode;

/// Bytes read at once.
const PIECE: u64 = 8 << 20;
/// The first bytes of a file that `head` reads; each further piece is twice as long.
const FIRST: u64 = 64 << 10;

/// Print files of any store, one after the other
#[derive(clap::Args, Clone, Debug)]
pub struct CatArgs {
    /// Files, patterns or lists (@FILE)
    #[arg(value_name = "LOC", required = true)]
    files: Vec<Loc>,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

/// Print the beginning of files
#[derive(clap::Args, Clone, Debug)]
pub struct HeadArgs {
    /// Files, patterns or lists (@FILE)
    #[arg(value_name = "LOC", required = true)]
    files: Vec<Loc>,
    /// So many lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, conflicts_with = "bytes")]
    lines: u64,
    /// So many bytes of each file instead
    #[arg(short = 'c', long, value_name = "N")]
    bytes: Option<u64>,
    #[command(flatten)]
    stores: mapfold::StoreArgs,
}

impl CatArgs {
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let stores = Stores::new();
        each(&stores, &self.files, |loc, size| {
            let mut at = 0;
            while at < size {
                let end = size.min(at + PIECE);
                if !print_bytes(&stores.block_on(stores.read(loc, at..end))?)? {
                    return Ok(false);
                }
                at = end;
            }
            Ok(true)
        })
    }
}

impl HeadArgs {
    pub fn run(&self) -> Result<ExitCode> {
        self.stores.install()?;
        let stores = Stores::new();
        each(&stores, &self.files, |loc, size| match self.bytes {
            Some(bytes) => {
                let end = size.min(bytes);
                let read = if end == 0 { Ok(Default::default()) } else { stores.block_on(stores.read(loc, 0..end)) };
                print_bytes(&read?)
            }
            None => first_lines(&stores, loc, size, self.lines),
        })
    }
}

fn first_lines(stores: &Stores, loc: &Loc, size: u64, lines: u64) -> Result<bool> {
    let (mut at, mut piece, mut left) = (0, FIRST, lines);
    while at < size && left > 0 {
        let end = size.min(at + piece);
        let bytes = stores.block_on(stores.read(loc, at..end))?;
        let mut shown = bytes.len();
        for (i, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            left -= 1;
            if left == 0 {
                shown = i + 1;
                break;
            }
        }
        if !print_bytes(&bytes[..shown])? {
            return Ok(false);
        }
        (at, piece) = (end, (piece * 2).min(PIECE));
    }
    Ok(true)
}

/// Does something with each file and its length until it says `false`.
fn each(stores: &Stores, files: &[Loc], mut show: impl FnMut(&Loc, u64) -> Result<bool>) -> Result<ExitCode> {
    for file in files {
        for loc in named(stores, file)? {
            let size = stores.block_on(stores.head(&loc))?.size;
            if !show(&loc, size)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
