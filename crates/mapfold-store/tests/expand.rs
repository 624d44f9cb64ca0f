//! What lists and patterns name: the same in memory and on the disk.
#![allow(clippy::unwrap_used)]

use mapfold_store::{Loc, Scheme, StoreError, Stores};

const FILES: [&str; 8] = [
    "tiles/b10.tif",
    "tiles/b2.tif",
    "tiles/B1.tif",
    "tiles/note.txt",
    "tiles/.hidden.tif",
    "tiles/2020/x.tif",
    "tiles/2020/july/x.tif",
    "tiles/.work/x.tif",
];

/// The same files in both stores, each with the text that its locations begin with.
fn both() -> (Stores, tempfile::TempDir, [String; 2]) {
    let (stores, folder) = (Stores::new(), tempfile::tempdir().unwrap());
    let roots = [format!("{}/", folder.path().display()), "memory://lab/".to_string()];
    for dir in ["tiles/2020/july", "tiles/.work"] {
        std::fs::create_dir_all(folder.path().join(dir)).unwrap();
    }
    for root in &roots {
        FILES.iter().for_each(|name| put(&stores, root, name, "x"));
    }
    (stores, folder, roots)
}

fn put(stores: &Stores, root: &str, name: &str, text: &str) {
    stores.put(&Loc::parse(&format!("{root}{name}")).unwrap(), text.to_owned().into()).unwrap();
}

fn expand(stores: &Stores, text: &str) -> Result<Vec<Loc>, StoreError> {
    stores.expand(&Loc::parse(text).unwrap())
}

/// What `text` names below `root`.
fn found(stores: &Stores, root: &str, text: &str) -> Vec<String> {
    let all = expand(stores, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    all.iter().map(|l| l.as_text().strip_prefix(root).unwrap_or(l.as_text()).to_owned()).collect()
}

#[test]
fn patterns_are_those_of_a_shell() {
    let (stores, _folder, roots) = both();
    let table: [(&str, &[&str]); 10] = [
        ("tiles/*.tif", &["tiles/B1.tif", "tiles/b10.tif", "tiles/b2.tif"]),
        ("tiles/b?.tif", &["tiles/b2.tif"]),
        ("tiles/[Bb]1*.tif", &["tiles/B1.tif", "tiles/b10.tif"]),
        ("tiles/[!b]*.tif", &["tiles/B1.tif"]),
        ("tiles/*/x.tif", &["tiles/2020/x.tif"]),
        ("tiles/**/x.tif", &["tiles/2020/july/x.tif", "tiles/2020/x.tif"]),
        ("**/july/*", &["tiles/2020/july/x.tif"]),
        ("tiles/2020/**", &["tiles/2020/july/x.tif", "tiles/2020/x.tif"]),
        ("tiles/.h*", &["tiles/.hidden.tif"]),
        ("tiles/b?.tif#B04", &["tiles/b2.tif#B04"]),
    ];
    for root in &roots {
        for (pattern, want) in table {
            assert_eq!(found(&stores, root, &format!("{root}{pattern}")), want, "{root}{pattern}");
        }
    }
}

#[test]
fn a_name_that_exists_is_that_name() {
    let (stores, folder, roots) = both();
    std::fs::create_dir(folder.path().join("data[1]")).unwrap();
    for root in &roots {
        for name in ["tiles/b[2].tif", "data[1]/a.tif"] {
            put(&stores, root, name, "x");
        }
        assert_eq!(found(&stores, root, &format!("{root}tiles/b[2].tif")), ["tiles/b[2].tif"]);
        assert_eq!(found(&stores, root, &format!("{root}data[1]/*.tif")), ["data[1]/a.tif"]);
        assert_eq!(
            found(&stores, root, &format!("{root}nowhere.tif")),
            ["nowhere.tif"],
            "a plain name is not looked for"
        );
    }
}

#[test]
fn folders_behind_links_are_entered_by_name_and_not_by_two_stars() {
    let (stores, folder, roots) = both();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("tiles/again")).unwrap();
    let root = &roots[0];
    assert_eq!(found(&stores, root, &format!("{root}**/july/*")).len(), 1, "a loop of links ends");
    assert_eq!(found(&stores, root, &format!("{root}tiles/again/tiles/b?.tif")), ["tiles/again/tiles/b2.tif"]);
}

#[test]
fn a_pattern_that_names_nothing_says_what_is_there() {
    let (stores, _folder, roots) = both();
    let table: [(&str, &[&str]); 5] = [
        ("tiles/*.jp2", &["tiles/*.jp2", "no file *.jp2", "holds 4", "B1.tif"]),
        ("tils/*.tif", &["no folder tils", "did you mean tiles?"]),
        ("tiles/*/b2.tiff", &["no file b2.tiff"]),
        ("tiles/[a.tif", &["[a.tif", "no pattern"]),
        ("tiles/2020/july/*/x.tif", &["july holds no folder"]),
    ];
    for root in &roots {
        for (pattern, words) in table {
            let error = expand(&stores, &format!("{root}{pattern}")).unwrap_err();
            assert!(matches!(error, StoreError::NoMatch { .. }) && error.remedy().is_some(), "{error:?}");
            let text = error.to_string();
            words.iter().for_each(|w| assert!(text.contains(w), "{w}: {text}"));
        }
    }
}

#[test]
fn a_list_names_its_lines_in_their_order() {
    let (stores, _folder, roots) = both();
    for root in &roots {
        let text = format!(
            "\u{feff}# tiles\n\nb2.tif\r\n  B1.tif#B04  \n2020/**/x.tif\n{root}tiles/b10.tif\nhttps://h/x.tif?sig=a#1"
        );
        put(&stores, root, "tiles/list.txt", &text);
        let want = [
            "tiles/b2.tif",
            "tiles/B1.tif#B04",
            "tiles/2020/july/x.tif",
            "tiles/2020/x.tif",
            "tiles/b10.tif",
            "https://h/x.tif?sig=a#1",
        ];
        assert_eq!(found(&stores, root, &format!("@{root}tiles/list.txt")), want);
        let with_part = found(&stores, root, &format!("@{root}tiles/list.txt#B08"));
        assert_eq!(with_part[..2], ["tiles/b2.tif#B08", "tiles/B1.tif#B04"], "its own goes before the list's");
    }
}

#[test]
fn a_list_that_cannot_be_understood_is_an_error_with_the_line() {
    let (stores, _folder, roots) = both();
    let bad = |text: &str| {
        put(&stores, &roots[1], "list.txt", text);
        expand(&stores, "@memory://lab/list.txt").unwrap_err()
    };
    for (text, words) in [
        ("a.tif\nhtps://h/a.tif\n", "line 2"),
        ("@memory://lab/list.txt", "another list"),
        ("\n\ntiles/*.jp2", "line 3"),
    ] {
        let error = bad(text);
        assert!(matches!(error, StoreError::BadList { .. }) && error.to_string().contains(words), "{error}");
        assert!(error.to_string().starts_with("@memory://lab/list.txt: "), "{error}");
    }
    for empty in ["", "# nothing\n\n"] {
        assert!(matches!(bad(empty), StoreError::NoMatch { .. }));
    }
    stores.put(&Loc::parse("memory://lab/list.txt").unwrap(), vec![b'I', b'I', 42, 0, 0xff].into()).unwrap();
    let error = expand(&stores, "@memory://lab/list.txt").unwrap_err();
    assert!(error.to_string().contains("byte 4") && error.to_string().contains("without @"), "{error}");
    assert!(matches!(expand(&stores, "@memory://lab/none.txt").unwrap_err(), StoreError::NotFound { .. }));
}

#[test]
fn a_list_is_no_file_and_shows_no_secret() {
    let stores = Stores::new();
    let list = Loc::parse("@https://me:pw@h/dir/list.txt?sig=abc#B04").unwrap();
    assert_eq!((list.scheme(), list.name(), list.fragment()), (Scheme::List, "list.txt", Some("B04")));
    assert_eq!(list.to_string(), "@https://REDACTED@h/dir/list.txt?sig=REDACTED#B04");
    assert_eq!(Loc::parse(list.as_text()).unwrap(), list, "the text travels");
    let list = Loc::parse("@list.txt").unwrap();
    for error in [
        stores.get(&list).unwrap_err(),
        stores.put(&list, "".into()).unwrap_err(),
        stores.block_on(stores.head(&list)).unwrap_err(),
        stores.check_writable(&list).unwrap_err(),
        stores.delete(&list).unwrap_err(),
        stores.exists(&list).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::IsList { .. }), "{error}");
    }
    for text in ["@", "@@a.txt"] {
        assert!(matches!(Loc::parse(text), Err(StoreError::BadUrl { .. })), "{text}");
    }
    let file = Loc::local("@name.tif");
    assert_eq!(file.scheme(), Scheme::Local);
    assert_eq!(Loc::parse(file.as_text()).unwrap().local_path().unwrap().file_name(), Some("@name.tif".as_ref()));
    assert!(Loc::parse("file:///a/b?.tif").is_err(), "a query is not dropped in silence");
}
