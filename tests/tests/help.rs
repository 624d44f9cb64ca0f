//! What `--help` promises: it fits a terminal, its examples work when they are pasted, TAB completes what it lists, and
//! the manual pages say the same.
#![allow(clippy::unwrap_used)]

use mapfold_tests::{Desk, Ran, checkout, desk::Running, mapfold, skipped};
use std::process::Command;

/// Every command that a user can see.
const VERBS: [&str; 48] = [
    "",
    "run",
    "run ndvi",
    "run stats",
    "run wordcount",
    "run sort",
    "run aggregate",
    "run normalize",
    "run streaming",
    "list",
    "jobs",
    "status",
    "history",
    "logs",
    "why",
    "split",
    "scale",
    "kill",
    "info",
    "preview",
    "gen",
    "gen scene",
    "new",
    "completion",
    "man",
    "help run ndvi",
    "fsck",
    "bundle",
    "manifest",
    "cp",
    "ls",
    "cat",
    "head",
    "rm",
    "config",
    "config show",
    "config list",
    "cluster",
    "cluster create",
    "cluster clone",
    "cluster list",
    "cluster ssh",
    "cluster destroy",
    "dev",
    "dev up",
    "dev down",
    "dev status",
    "dev env",
];

fn help(desk: &Desk, verb: &str, flag: &str) -> String {
    let mut c = desk.command(mapfold());
    c.args(verb.split_whitespace()).env("COLUMNS", "80");
    if !verb.starts_with("help") {
        c.arg(flag);
    }
    Running::start(c, format!("mapfold {verb} {flag}")).wait().fine().out
}

/// Runs a script in a folder of its own, with `mapfold` on the path and a home that holds a checkout.
fn shell(desk: &Desk, shell: &str, script: &str) -> Ran {
    let home = desk.path("home");
    if !home.exists() {
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(checkout(), home.join("mapfold")).unwrap();
    }
    let bin = mapfold().parent().unwrap().to_str().unwrap().to_owned();
    let mut c = desk.command(shell);
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    c.args(["-c", script]).env("PATH", path).env("HOME", &home).env_remove("ZDOTDIR");
    Running::start(c, script.to_owned()).wait()
}

#[test]
fn help_fits_a_terminal_and_has_examples() {
    let desk = Desk::new();
    for verb in VERBS {
        for flag in ["-h", "--help"] {
            let text = help(&desk, verb, flag);
            let long = text.lines().find(|l| l.chars().count() > 80);
            assert!(long.is_none(), "{verb} {flag}: wider than 80: {long:?}");
            assert!(text.contains("Usage: mapfold"), "{verb} {flag}: {text}");
            let leads = matches!(verb, "run" | "gen" | "list");
            assert!(leads || text.contains("\nExamples:\n"), "{verb} {flag} has no examples: {text}");
        }
    }
    let ndvi = help(&desk, "run ndvi", "-h");
    assert!(ndvi.contains("--red <LOC> --nir <LOC> --out <LOC>"), "what is required stands in the usage: {ndvi}");
    for group in ["Run:", "Resources:", "Messages:", "Raster input:", "Raster output:"] {
        assert!(ndvi.contains(&format!("\n{group}\n")), "{group}: {ndvi}");
    }
}

#[test]
fn examples_work_when_they_are_pasted() {
    for verb in VERBS.into_iter().filter(|v| !matches!(*v, "run" | "gen" | "list" | "help run ndvi")) {
        let desk = Desk::new();
        let text = help(&desk, verb, "-h");
        let lines = text.split("\nExamples:\n").nth(1).unwrap().lines().map(|l| l.strip_prefix("  ").unwrap_or(l));
        let typed = |l: &&str| ["mapfold ", "cd ", "mkdir ", "printf ", "  "].iter().any(|w| l.starts_with(w));
        let script: Vec<&str> = lines.filter(typed).collect();
        assert!(!script.is_empty(), "{verb}: {text}");
        let ran = shell(&desk, "sh", &format!("set -e\n{}", script.join("\n"))).fine();
        assert!(!ran.err.contains("error"), "{ran}");
    }
}

/// What a TAB offers after `words`, as bash itself would ask the script for it.
fn tab(desk: &Desk, words: &[&str]) -> Vec<String> {
    let script = format!(
        "source <(mapfold completion bash)\n\
         f=$(complete -p mapfold | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         COMP_WORDS=({0}) COMP_CWORD={1} COMP_LINE='{0}' COMP_POINT=${{#COMP_LINE}}\n\
         $f mapfold \"${{COMP_WORDS[{1}]}}\" \"${{COMP_WORDS[{1}-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    let ran = shell(desk, "bash", &script).fine();
    assert_eq!(ran.err, "", "{ran}");
    ran.out.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[test]
fn tab_completes_verbs_jobs_options_and_values_in_bash() {
    let desk = Desk::new();
    assert_eq!(tab(&desk, &["mapfold", "pre"]), ["preview"]);
    assert_eq!(tab(&desk, &["mapfold", "run", "n"]), ["ndvi", "normalize"]);
    assert_eq!(tab(&desk, &["mapfold", "run", "ndvi", "--memo"]), ["--memory-limit"]);
    assert_eq!(tab(&desk, &["mapfold", "run", "ndvi", "--compress", "z"]), ["zstd"]);
    assert_eq!(tab(&desk, &["mapfold", "run", "ndvi", "--dtype", "float"]), ["float32", "float64"]);
    assert_eq!(tab(&desk, &["mapfold", "preview", "--ramp", "vi"]), ["viridis"]);
    assert_eq!(tab(&desk, &["mapfold", "completion", "z"]), ["zsh"]);
    let all = tab(&desk, &["mapfold", "run", "ndvi", "--"]);
    assert!(["--red", "--workers", "--json"].iter().all(|o| all.iter().any(|a| a == o)), "{all:?}");
    assert!(!tab(&desk, &["mapfold", "b"]).contains(&"bench".to_owned()), "hidden");
}

#[test]
fn tab_completes_in_fish_and_zsh() {
    let desk = Desk::new();
    let there = |shell: &str| Command::new(shell).args(["-c", "true"]).output().is_ok_and(|o| o.status.success());
    if there("fish") {
        let ask = |line: &str| {
            shell(&desk, "fish", &format!("mapfold completion fish | source; complete -C '{line}'")).fine().out
        };
        assert!(ask("mapfold run n").starts_with("ndvi\t"));
        assert!(ask("mapfold run ndvi --compress z").contains("zstd"));
    } else {
        skipped("completion in fish: it is not installed", false);
    }
    if there("zsh") {
        let load =
            "autoload -Uz compinit && compinit -u -D && source <(mapfold completion zsh) && print $_comps[mapfold]";
        assert_eq!(shell(&desk, "zsh", load).fine().out.trim(), "_mapfold");
    } else {
        skipped("completion in zsh: it is not installed", false);
    }
}

#[test]
fn manual_pages_say_what_help_says() {
    let desk = Desk::new();
    desk.run("man pages").fine();
    let page = |name: &str| String::from_utf8(desk.bytes(&format!("pages/{name}"))).unwrap().replace("\\-", "-");
    let top = page("mapfold.1");
    for word in [".SH SYNOPSIS", ".SH EXAMPLES", ".SH EXIT CODES", ".SH ENVIRONMENT", "mapfold-preview\\fR(1)"] {
        assert!(top.contains(word), "{word}: {top}");
    }
    for named in top.lines().filter_map(|l| l.strip_prefix("\\fB")?.strip_suffix("\\fR(1)")) {
        page(&format!("{named}.1")); // every page that is named is there
    }
    let ndvi = page("mapfold-run-ndvi.1");
    assert!(ndvi.contains("mapfold run ndvi [OPTIONS] --red <LOC>") && ndvi.contains("RASTER OUTPUT"), "{ndvi}");
    let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww"]).arg(desk.path("pages/mapfold.1")).output();
    match groff {
        Ok(done) => {
            assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        Err(_) => skipped("manual pages through groff: it is not installed", false),
    }
}
