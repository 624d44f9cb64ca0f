//! A token comes from where nobody else could read it, or not at all.
#![allow(clippy::unwrap_used)]

use mapfold_wire::Token;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn refusal(path: &Path) -> String {
    Token::from_file(path).err().expect("refused").to_string()
}

fn text(token: &Token) -> Vec<u8> {
    let mut out = Vec::new();
    token.write_to(&mut out).unwrap();
    out
}

#[test]
fn a_file_keeps_it_and_only_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let token = Token::random().unwrap();
    token.to_new_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(text(&Token::from_file(&path).unwrap()), text(&token));
    assert!(token.to_new_file(&path).is_err(), "an old token is never written over");
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    Token::random().unwrap().to_new_file(&path).unwrap();
    for mode in [0o640, 0o604, 0o602, 0o644, 0o777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(refusal(&path).contains("others can read"), "{mode:o}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
    assert!(Token::from_file(&path).is_ok());
}

#[test]
fn what_is_no_token_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    assert!(refusal(&path).contains("No such file"));
    assert!(refusal(folder.path()).contains("not an ordinary file") || refusal(folder.path()).contains("others"));
    for content in ["", "hunter2\n", &"g".repeat(65), &"0".repeat(64), &"0".repeat(65)] {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let message = refusal(&path);
        assert!(message.contains("expected 64 hexadecimal digits"), "{message}");
        assert!(content.is_empty() || !message.contains(content), "the content is not repeated");
    }
}

#[test]
fn a_pipe_is_read_so_far_and_no_further() {
    let token = Token::random().unwrap();
    let mut pipe = text(&token);
    pipe.extend(b"more");
    let mut rest = pipe.as_slice();
    assert_eq!(text(&Token::read_from(&mut rest).unwrap()), text(&token));
    assert_eq!(rest, b"more");
    assert_ne!(text(&Token::random().unwrap()), text(&token));
}
