//! Inputs over HTTP: byte ranges give the same bytes as the file; a failing server gives one clean message without the
//! secrets of its address.
#![allow(clippy::unwrap_used)]

use mapfold_tests::http::{Site, serve};
use mapfold_tests::{Desk, data};

fn site(desk: &Desk, scene: &str) -> Site {
    let words: Vec<&str> = scene.split_whitespace().collect();
    Site::Files([("/red.tif", words[1]), ("/nir.tif", words[3])].map(|(at, file)| (at.into(), desk.bytes(file))).into())
}

#[test]
fn inputs_over_http_give_the_same_bytes() {
    let desk = Desk::new();
    let scene = desk.scene(1000);
    desk.run(&format!("run ndvi {scene} --out file.tif -q")).fine();
    let at = serve(site(&desk, &scene));
    desk.run(&format!("run ndvi --red {at}/red.tif --nir {at}/nir.tif?token=tell-nobody --out http.tif -q")).fine();
    assert!(desk.bytes("http.tif") == desk.bytes("file.tif"), "bytes differ");
    let info = desk.run(&format!("info {at}/red.tif?token=tell-nobody")).fine();
    assert!(!info.out.contains("tell-nobody"), "{info}");
}

#[test]
fn a_failing_server_is_named_without_its_secrets() {
    let desk = Desk::new();
    let nir = data("real/scene_band2.tif");
    for (status, word) in [(500, "500"), (503, "503"), (403, "denied"), (404, "not found")] {
        let at = serve(Site::Broken(status)).replace("http://", "http://me:secret-word@");
        let url = format!("{at}/red.tif?token=tell-nobody&v=2");
        let ran = desk.run(&format!("run ndvi --red {url} --nir {nir} --out out.tif"));
        let ran = ran.refused(3, &["127.0.0.1", "/red.tif", word]).with_remedy();
        for secret in ["tell-nobody", "secret-word"] {
            assert!(!ran.err.contains(secret), "{ran}");
        }
        assert!(desk.names().is_empty(), "{ran}");
    }
}

#[test]
fn no_server_at_all() {
    let desk = Desk::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(); // closed again here
    let ran = desk.run(&format!("run stats http://127.0.0.1:{port}/a.tif?sig=tell-nobody"));
    let ran = ran.refused(3, &["127.0.0.1", "/a.tif"]).with_remedy();
    assert!(!ran.err.contains("tell-nobody"), "{ran}");
}

#[test]
fn what_a_run_leaves_in_its_journal_and_report_holds_no_secret() {
    let desk = Desk::new();
    let scene = desk.scene(300);
    let at = serve(site(&desk, &scene));
    let line = format!("run ndvi --red {at}/red.tif?token=tell-nobody --nir {at}/nir.tif --out out.tif");
    let ran = desk.run(&format!("{line} --json -v")).fine();
    assert!(!ran.out.contains("tell-nobody") && !ran.err.contains("tell-nobody"), "{ran}");
    let mut folders = vec![desk.path("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = std::fs::read(entry.path()).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains("tell-nobody"), "{}", entry.path().display());
        }
    }
    assert!(!String::from_utf8_lossy(&desk.bytes("out.tif")).contains("tell-nobody"), "in the output");
}

#[test]
fn a_url_that_was_signed_anew_is_the_same_input() {
    let desk = Desk::new();
    let scene = desk.scene(300);
    let at = serve(site(&desk, &scene));
    let plan = |red: &str| {
        let line = format!("run ndvi --red {at}/{red} --nir @list.txt --out out.tif --explain --json");
        desk.run(&line).fine().json()["fingerprint"].as_str().unwrap().to_owned()
    };
    let list = |query: &str| std::fs::write(desk.path("list.txt"), format!("{at}/nir.tif?{query}")).unwrap();
    list("sig=one&se=2026-01-01");
    let first = plan("red.tif?sig=one&se=2026-01-01");
    list("sig=another-one&se=2026-01-02");
    assert_eq!(plan("red.tif?sig=two&se=2026-01-02"), first);
    list("sig=another-one&se=2026-01-02&v=2");
    assert_ne!(plan("red.tif?sig=two&se=2026-01-02"), first, "what is not a secret counts");
    assert_ne!(plan("nir.tif?sig=one&se=2026-01-01"), first);
}
