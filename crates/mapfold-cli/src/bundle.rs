//! `mapfold bundle`: a program with the shared libraries that it needs, in one folder or archive that runs on any Linux
//! of the same kind whose C library is new enough.
//!
//! ```text
//! NAME/NAME        a script that starts bin/NAME with lib/ on the loader's path
//! NAME/bin/NAME    the program
//! NAME/lib/*.so*   the closure of its shared libraries, without those of the C library and the compiler
//! ```
//!
//! The C library is left out because it must fit the loader and the kernel of the host: what the program asks of it is
//! printed instead (`elf`).

mod elf;

use clap::Args;
use elf::Glibc;
use mapfold::{Error, Result};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Pack a program with its shared libraries, and say which C library it needs
#[derive(Args, Clone, Debug)]
pub struct BundleArgs {
    /// A job's program [default: this one]
    #[arg(value_name = "PROGRAM", value_hint = clap::ValueHint::FilePath)]
    program: Option<PathBuf>,
    /// A new folder, or a new archive NAME.tar.gz; without it nothing is written
    #[arg(short, long, value_name = "OUT", value_hint = clap::ValueHint::AnyPath)]
    output: Option<PathBuf>,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Libraries that come with every host: those of the C library, and the compiler's, of which a newer one would ask for a
/// newer C library than the program does.
const OF_THE_HOST: [&str; 13] = [
    "linux-vdso.so",
    "linux-gate.so",
    "ld-linux",
    "libc.so",
    "libm.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libutil.so",
    "libnsl.so",
    "libmvec.so",
    "libgcc_s.so",
];

impl BundleArgs {
    /// Packs it.
    ///
    /// # Errors
    /// When the program cannot be read, a library is missing, or there is something at the output already.
    pub fn run(&self) -> Result<ExitCode> {
        let program = self.program.clone().map_or_else(std::env::current_exe, Ok)?;
        let libraries = closure(&program)?;
        let glibc = needed(&program, &libraries)?;
        if let Some(output) = &self.output {
            pack(&program, &libraries, output)?;
        }
        self.say(&program, &libraries, glibc)
    }

    fn say(&self, program: &Path, libraries: &[PathBuf], glibc: Option<Glibc>) -> Result<ExitCode> {
        let glibc = glibc.map(|v| v.to_string());
        if self.json {
            let all = json!({ "program": program, "glibc": glibc, "libraries": libraries, "output": self.output });
            return crate::verbs::say(&format!("{all:#}\n"));
        }
        let mut text = format!("program    {}\n", program.display());
        text += &format!("needs      {}\n", glibc.map_or("no C library".into(), |v| format!("glibc {v} or newer")));
        libraries.iter().for_each(|l| text += &format!("library    {}\n", l.display()));
        self.output.iter().for_each(|o| text += &format!("bundle     {}\n", o.display()));
        crate::verbs::say(&text)
    }
}

/// The newest C library that the program or one of its libraries asks for.
fn needed(program: &Path, libraries: &[PathBuf]) -> Result<Option<Glibc>> {
    let mut newest = None;
    for file in std::iter::once(program).chain(libraries.iter().map(PathBuf::as_path)) {
        let bytes = fs::read(file).map_err(|e| Error::input(format!("{}: {e}", file.display())))?;
        let needed = elf::glibc(&bytes);
        newest = newest.max(needed.map_err(|e| Error::input(format!("{}: {e}", file.display())))?);
    }
    Ok(newest)
}

/// The shared libraries that the loader would load, without those of the C library.
fn closure(program: &Path) -> Result<Vec<PathBuf>> {
    let asked = Command::new("ldd").arg(program).output();
    let asked =
        asked.map_err(|e| Error::input(format!("ldd cannot be started: {e}")).with_remedy("install libc-bin"))?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let said = String::from_utf8_lossy(&asked.stderr);
    if !asked.status.success() {
        // A static program has none.
        let is_static =
            [&text, &said].iter().any(|t| t.contains("not a dynamic executable") || t.contains("statically"));
        let bytes = fs::read(program).unwrap_or_default();
        if is_static && elf::glibc(&bytes).is_ok() {
            return Ok(Vec::new());
        }
        let remedy = "name a program for this machine, such as target/release/my-job";
        return Err(Error::input(format!("{}: {}", program.display(), said.trim())).with_remedy(remedy));
    }
    libraries(&text).map_err(|missing| {
        let what = format!("{}: the library {missing} is not found here", program.display());
        Error::input(what).with_remedy("install it, or put its folder into LD_LIBRARY_PATH")
    })
}

/// The paths in what `ldd` prints, or the name of a library that is missing.
fn libraries(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let file = Path::new(name).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if OF_THE_HOST.iter().any(|begin| file.starts_with(begin)) {
            continue;
        }
        match line.split_once("=>").map(|(_, to)| to.trim()) {
            Some("not found") => return Err(name.to_owned()),
            Some(to) => all.extend(to.split(" (").next().filter(|p| p.starts_with('/')).map(PathBuf::from)),
            None => {}
        }
    }
    Ok(all)
}

fn pack(program: &Path, libraries: &[PathBuf], output: &Path) -> Result<()> {
    let name = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if output.exists() {
        let remedy = "choose another name, or remove it";
        return Err(Error::input(format!("{} is there already", output.display())).with_remedy(remedy));
    }
    let archive = output.to_str().is_some_and(|o| o.ends_with(".tar.gz") || o.ends_with(".tgz"));
    let cannot = |e: std::io::Error| {
        Error::input(format!("{}: {e}", output.display())).with_remedy("choose a place that can be written")
    };
    if !archive {
        return fill(program, &name, libraries, output).map_err(cannot);
    }
    let mut hidden = output.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let packed = fill(program, &name, libraries, &hidden.join(&name)).and_then(|()| tar(&hidden, &name, output));
    let _ = fs::remove_dir_all(&hidden); // Ours alone.
    packed.map_err(cannot)
}

fn fill(program: &Path, name: &str, libraries: &[PathBuf], folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    fs::create_dir_all(folder.join("lib"))?;
    fs::copy(program, folder.join("bin").join(name))?;
    for library in libraries {
        let to = folder.join("lib").join(library.file_name().unwrap_or_default());
        fs::copy(library, to)?; // Of what a link points to, under the name that is asked for.
    }
    let start = folder.join(name);
    fs::write(&start, script(name))?;
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755))
}

/// Starts the program with the libraries beside it, from any folder and through links.
fn script(name: &str) -> String {
    let name = name.replace('\'', r"'\''");
    format!(
        "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n\
         LD_LIBRARY_PATH=\"$here/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\nexport LD_LIBRARY_PATH\n\
         exec \"$here/bin/\"'{name}' \"$@\"\n"
    )
}

fn tar(folder: &Path, name: &str, output: &Path) -> std::io::Result<()> {
    let made = Command::new("tar").arg("-C").arg(folder).arg("-czf").arg(output).arg(name).output()?;
    let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    if made.status.success() { Ok(()) } else { Err(std::io::Error::other(format!("tar: {said}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_says() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgdal.so.32 => /lib/libgdal.so.32 (0x00007f)\n\
                    \tlibgcc_s.so.1 => /lib/libgcc_s.so.1 (0x0)\n\tlibm.so.6 => /lib/libm.so.6 (0x0)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x0)\n";
        let found = libraries(text);
        assert_eq!(found, Ok(vec![PathBuf::from("/lib/libgdal.so.32")]));
        assert_eq!(libraries("\tlibx.so.1 => not found\n"), Err("libx.so.1".to_owned()));
        assert_eq!(libraries("\tstatically linked\n"), Ok(vec![]));
    }
}
