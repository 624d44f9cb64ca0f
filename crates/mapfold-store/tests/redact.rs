//! Law: what was secret in a URL is in no text that we show.
#![allow(clippy::unwrap_used)]

use mapfold_store::{Loc, closest, redact};
use proptest::prelude::*;

#[test]
fn redaction_table() {
    let table = [
        ("no url here?sig=1", "no url here?sig=1"),
        ("https://h/a.tif", "https://h/a.tif"),
        ("https://h/a.tif?width=5&X-Amz-Signature=ab&b=2", "https://h/a.tif?width=5&X-Amz-Signature=REDACTED&b=2"),
        (
            "(see \"https://u:p@h/a?sp=r&st=1&se=2\")",
            "(see \"https://REDACTED@h/a?sp=REDACTED&st=REDACTED&se=REDACTED\")",
        ),
        ("two: s3://k:v@b/x and http://h?token=1 end", "two: s3://REDACTED@b/x and http://h?token=REDACTED end"),
        ("https://h/a?Subscription-Key=1;x=2#B04", "https://h/a?Subscription-Key=REDACTED;x=2#B04"),
        ("https://h/a?%73ig=1", "https://h/a?%73ig=REDACTED"),
        ("https://h/a#access_token=1", "https://h/a#access_token=REDACTED"),
        ("https://u:pa/ss@h/a", "https://REDACTED@h/a"),
        ("https://h:80/@scope/a", "https://h:80/@scope/a"),
        ("https://proxy/?url=https://u:p@h/a", "https://proxy/?url=https://REDACTED@h/a"),
        ("https://proxy/?url=https%3A%2F%2Fh%2Fa%3Fsig%3Dx", "https://proxy/?url=REDACTED"),
        ("https://proxy/https://u:p@h/a", "https://proxy/https://REDACTED@h/a"),
        ("https://[::1]:80/a@b?v=1", "https://[::1]:80/a@b?v=1"),
    ];
    for (text, shown) in table {
        assert_eq!(redact(text), shown);
        assert_eq!(redact(shown), shown, "redacting twice changes nothing");
    }
}

#[test]
fn a_location_with_odd_characters_hides_them_all() {
    let loc = Loc::parse("https://h/a?sig=se'cr\"et two&v=1").unwrap();
    assert_eq!(loc.to_string(), "https://h/a?sig=REDACTED&v=1");
    assert_eq!(format!("{loc:?}"), "Loc(https://h/a?sig=REDACTED&v=1)");
    assert_eq!(loc.as_text(), "https://h/a?sig=se'cr\"et two&v=1");
}

#[test]
fn nearest_names() {
    assert_eq!(closest("B4", ["B04", "B08", "SCL"]), Some("B04"));
    assert_eq!(closest("comprss", ["compress", "predictor"]), Some("compress"));
    assert_eq!(closest("xyz", []), None);
}

const KEYS: [&str; 16] = [
    "sig",
    "se",
    "sp",
    "st",
    "X-Amz-Signature",
    "x-amz-security-token",
    "X-Amz-Credential",
    "token",
    "access_token",
    "subscription-key",
    "key",
    "api_key",
    "password",
    "AWSAccessKeyId",
    "Signature",
    "client_secret",
];

proptest! {
    #[test]
    fn no_secret_survives(
        secret in "[A-Za-z0-9%/+=_.~-]{1,40}",
        user in "[a-z]{1,8}",
        key in prop::sample::select(KEYS.to_vec()),
        upper in any::<bool>(),
        before in "[ -PR-~]{0,20}",
        after in "[ \"'<>]( [ -PR-~]{0,20})?",
    ) {
        let secret = format!("QZ{secret}QZ");
        let key = if upper { key.to_uppercase() } else { key.to_owned() };
        let url = format!("https://{user}:{}@host/p/a.tif?v=2&{key}={secret}&w=1", secret.replace(['/', '='], ""));
        let text = format!("{before} {url}{after}");
        let shown = redact(&text);
        prop_assert!(!shown.contains("QZ"), "{}", shown);
        prop_assert!(shown.contains("host/p/a.tif?v=2"), "{}", shown);
        prop_assert_eq!(redact(&shown), shown.clone());
        let loc = Loc::parse(&url).unwrap();
        let said = format!("{loc} {loc:?}");
        prop_assert!(!said.contains("QZ"), "{}", said);
        prop_assert_eq!(loc.as_text(), &url);
    }

    #[test]
    fn any_text_survives_and_twice_is_once(text in "\\PC{0,80}", url in "[a-z]{0,5}://[ -~]{0,60}") {
        for text in [text.clone(), url.clone(), format!("{text}{url}{text}")] {
            let shown = redact(&text);
            prop_assert_eq!(redact(&shown), shown.clone());
            if !text.contains("://") {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
