//! Inputs and outputs in stores on servers: the bytes of a local run, whole or not at all, nothing beside them, no upload
//! left open, whatever dies.
//!
//! What lies in a store is asked by another client (`tests/oracle/far.py`). The servers are started by `cluster/part.sh`.
//! The table of all jobs, stores and modes is made by `bench/stores.py`; here each store sees each job once or twice.
#![allow(clippy::unwrap_used)]

use mapfold_tests::far_room::{JOBS, NDVI, OUTPUTS, Room, WORDS};
use mapfold_tests::{far, indices, mapfold};

fn each_job_makes_the_bytes_of_a_local_run(part: &'static str) {
    let Some(room) = Room::new(part) else { return };
    for mode in ["", "--mode pseudo --workers 2 --overwrite"] {
        for job in &JOBS {
            room.run(job, mode).fine();
            room.is_right(job, mode);
        }
        room.nothing_beside(&OUTPUTS);
    }
    for job in &JOBS {
        room.run(job, "").refused(3, &[job.out, "--overwrite"]);
        room.is_right(job, "after a refusal");
    }
    // Over another result: fewer parts than before, and other bytes.
    room.run(&WORDS, "--partitions 1 --overwrite").fine();
    assert_eq!(room.far.names(WORDS.out), ["_SUCCESS", "part-r-00000"], "{part}");
    room.run(&NDVI, "--compress none --overwrite").fine();
    assert!(room.far.bytes(NDVI.out) != room.want(&NDVI)[0].1, "{part}: it was not replaced");
    for job in [&WORDS, &NDVI] {
        room.run(job, "--overwrite").fine();
        room.is_right(job, "over another result");
    }
    room.nothing_beside(&OUTPUTS);
}

/// Steps of the commit protocol, in order (crate `mapfold-coord`, `failpoint.rs`).
const STEPS: [&str; 8] =
    ["claimed", "planned", "logged:1", "laid-out", "before-decision", "decided", "revealed", "before-cleaning"];
/// Those after which an output is to be seen.
const AFTER: [&str; 2] = ["revealed", "before-cleaning"];

fn killed_at_a_step_it_goes_on(part: &'static str, steps: &[&str]) {
    let Some(room) = Room::new(part) else { return };
    for job in [&NDVI, &WORDS] {
        for step in steps {
            room.killed(job, "", step);
            assert_eq!(room.is_seen(job), AFTER.contains(step), "{part} {} {step}: is it to be seen?", job.out);
            room.run(job, "--resume").fine();
            room.is_right(job, step);
            room.nothing_beside(&[job.out]);
            room.far.run(&format!("rm -r {}", room.far.loc(job.out))).fine();
        }
        // The same over another result, which must not be lost before the decision.
        let other = if job.folder { "--partitions 1" } else { "--compress none" };
        for step in steps.iter().filter(|step| ["before-decision", "decided", "revealed"].contains(step)) {
            room.run(job, &format!("{other} --overwrite")).fine();
            room.killed(job, "--overwrite", step);
            assert!(room.is_seen(job), "{part} {} {step}: neither the older result nor the new one", job.out);
            room.run(job, "--resume").fine();
            room.is_right(job, step);
        }
        room.nothing_beside(&[NDVI.out, WORDS.out]);
        room.far.run(&format!("rm -r {}", room.far.loc(job.out))).fine();
    }
}

/// Two outputs of one job count together, and each is published and cleaned by itself.
fn two_outputs(part: &'static str) {
    let Some(Room { far, there, .. }) = Room::new(part) else { return };
    let line = |of: &dyn Fn(&str) -> String, more: &str| {
        let (red, nir) = (&there.red, &there.nir);
        format!("--red {red} --nir {nir} --ndvi {} --sum {} --tile 256 --blocksize 64 {more}", of("a.tif"), of("b.tif"))
    };
    far.start(indices(), &line(&|name| name.to_owned(), ""), "").wait().fine();
    for step in ["claimed:2", "laid-out:2", "revealed", "revealed:2", "cleaned"] {
        let folder = step.replace(':', "-");
        let at = |name: &str| far.loc(&format!("{folder}/{name}"));
        let killed = far.start(indices(), &line(&at, ""), &format!("{step}=abort")).wait();
        assert_eq!(killed.code, 137, "{part} {step} was not reached: {killed}");
        far.start(indices(), &line(&at, "--resume"), "").wait().fine();
        let found = far.tree(&folder);
        let want = ["a.tif", "b.tif"].map(|name| (name.to_owned(), far.desk.bytes(name)));
        assert!(found == want, "{part} {step}: {:?}", found.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

fn what_is_given_up_is_swept(part: &'static str) {
    let Some(room) = Room::new(part) else { return };
    let far = &room.far;
    room.killed(&WORDS, "", "before-decision");
    let open = far.uploads(&[WORDS.out]).len();
    assert_eq!(open > 0, ["s3", "gcs"].contains(&part), "{part}: {open} uploads are open");
    if part == "s3" {
        far.begin_upload(&format!("{}/part-r-00000", WORDS.out)); // Its process died before it could note the id.
    }
    let kept = far.run(&format!("fsck {} --clean", far.loc(WORDS.out)));
    assert_eq!(kept.code, 1, "undecided work is not removed by --clean: {kept}");
    assert!(far.uploads(&[WORDS.out]).len() >= open, "{part}: fsck ended uploads of work that can be resumed");
    far.run(&format!("fsck {} --discard", far.loc(WORDS.out))).fine();
    assert_eq!(far.uploads(&[WORDS.out]), [""; 0], "{part}");
    room.nothing_beside(&[]);
    if ["s3", "gcs", "azure"].contains(&part) {
        // As a member leaves it that comes late, when all is over.
        far.upload("in.txt", &format!(".{}.mapfold/parts/late", WORDS.out));
        let root = far.loc("");
        assert_eq!(far.run(&format!("fsck {root}")).code, 1, "{part}: it is not seen");
        far.run(&format!("fsck {root} --clean")).fine();
        room.nothing_beside(&[]);
    }
}

/// Members carry the parts of an image, here of 36 MiB; S3 makes some of them by itself from the members' pieces. When a
/// member dies of it the image is begun anew; what one cannot carry is carried elsewhere.
fn parts_of_an_image_are_carried_by_members(part: &'static str) {
    let Some(far) = far(part) else { return };
    let scene = far.desk.scene(3000);
    let bands: Vec<&str> = scene.split(' ').filter(|word| !word.starts_with("--")).collect();
    let there: Vec<String> =
        ["red.tif", "nir.tif"].iter().zip(&bands).map(|(name, band)| far.upload(band, name)).collect();
    let line = |red: &str, nir: &str, out: &str| {
        format!("run ndvi --red {red} --nir {nir} --out {out} --tile 2048 --blocksize 256 --compress none")
    };
    far.desk.run(&line(bands[0], bands[1], "ndvi.tif")).fine();
    let all = ["", "carrying=abort", "carrying=error,carrying:2=error", "laid-out=abort", "decided=abort"];
    for (n, points) in all.into_iter().enumerate() {
        let out = format!("ndvi-{n}.tif");
        let job = line(&there[0], &there[1], &far.loc(&out)) + " -vv --mode pseudo --workers 2";
        let first = far.start(mapfold(), &job, points).wait();
        let dies = n > 2;
        assert_eq!(first.code, if dies { 137 } else { 0 }, "{part} {points}: {first}");
        assert!(first.err.contains("is asked to carry"), "{part} {points}: {first}");
        // Of a member that died nobody knows what it has sent; one that says that it could not has sent nothing.
        assert_eq!(first.err.contains("begun anew"), points == "carrying=abort", "{part} {points}: {first}");
        let copies = first.err.contains("the server is asked to copy");
        assert_eq!(copies, part == "s3", "{part} {points}: {first}");
        if dies {
            far.run(&(job + " --resume")).fine();
        }
        assert!(far.bytes(&out) == far.desk.bytes("ndvi.tif"), "{part} {points}: other bytes");
        assert_eq!(far.uploads(&[&out]), [""; 0], "{part} {points}: uploads left open");
    }
}

#[test]
fn faults_of_the_server_change_no_byte() {
    let Some(far) = far("s3") else { return };
    let faults = "--seed 5 --error-500 0.01 --error-503 0.01 --reset 0.01 --lost-answer 0.01 --cut 0.01";
    let variables = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL"];
    let Some((far, proxy)) = far.through(&variables, faults) else { return };
    let room = Room::of(far);
    for mode in ["", "--mode pseudo --workers 2 --overwrite"] {
        for job in [&NDVI, &WORDS] {
            room.run(job, mode).fine();
            room.is_right(job, mode);
        }
    }
    let report = proxy.report();
    let hurt: u64 = report["faults"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    assert!(hurt >= 10, "{report}");
    room.nothing_beside(&[NDVI.out, WORDS.out]);
}

macro_rules! for_each_store {
    ($($store:ident $steps:expr;)*) => {
        $(mod $store {
            #[test]
            fn each_job_makes_the_bytes_of_a_local_run() {
                super::each_job_makes_the_bytes_of_a_local_run(stringify!($store));
            }

            #[test]
            fn killed_at_a_step_it_goes_on() {
                super::killed_at_a_step_it_goes_on(stringify!($store), $steps);
            }

            #[test]
            fn what_is_given_up_is_swept() {
                super::what_is_given_up_is_swept(stringify!($store));
            }
        })*
    };
}

for_each_store! {
    s3 &super::STEPS;
    hdfs &super::STEPS;
    azure &["decided"];
    gcs &["decided"];
}

#[test]
fn parts_of_an_image_are_carried_by_members_s3() {
    parts_of_an_image_are_carried_by_members("s3");
}

#[test]
fn parts_of_an_image_are_carried_by_members_gcs() {
    parts_of_an_image_are_carried_by_members("gcs");
}

#[test]
fn parts_of_an_image_are_carried_by_members_azure() {
    parts_of_an_image_are_carried_by_members("azure");
}

#[test]
fn two_outputs_killed_between_them_go_on() {
    ["s3", "hdfs"].into_iter().for_each(two_outputs);
}
