//! The examples under each `--help`: whole sessions of a shell that work when they are pasted into an empty folder.
//!
//! Kept in one place because a test runs them all (`tests/tests/help.rs`). Lines stay below 80 characters.

/// `mapfold --help`: from nothing to a picture.
pub const MAPFOLD: &str = "\
mapfold gen scene s2 --size 1024
cd s2/S2_20230108
mapfold info B04.tif
mapfold run ndvi --red B04.tif --nir B08.tif --out ndvi.tif
mapfold run stats ndvi.tif
mapfold preview ndvi.tif -o ndvi.png --ramp ndvi";

/// `mapfold run ndvi --help`
pub const NDVI: &str = "\
mapfold gen scene s2 --size 1024 --bands B04,B08
cd s2/S2_20230108
mapfold run ndvi --red B04.tif --nir B08.tif --out ndvi.tif --explain
mapfold run ndvi --red B04.tif --nir B08.tif --out ndvi.tif
mapfold run ndvi --red B04.tif --nir B08.tif --out corner.tif \\
  --window 0,0,256,256 --format gtiff --compress deflate
A band of a file with several: --red scene.tif#B04 or --red scene.tif#4";

/// `mapfold run stats --help`
pub const STATS: &str = "\
mapfold gen scene s2 --size 1024 --bands B04
mapfold run stats s2/S2_20230108/B04.tif
mapfold run stats s2/S2_20230108/B04.tif --histogram 20
mapfold run stats s2/S2_20230108/B04.tif --json > stats.json";

/// `mapfold run normalize --help`
pub const NORMALIZE: &str = "\
mapfold gen scene s2 --size 1024 --bands B04
mapfold run normalize --input s2/S2_20230108/B04.tif --out scores.tif
mapfold run stats scores.tif";

/// `mapfold run wordcount --help`
pub const WORDCOUNT: &str = "\
mapfold run wordcount --help > help.txt
mapfold run wordcount help.txt --out counts --partitions 1
sort -k2 -n -r counts/part-r-00000 | head -n 5";

/// `mapfold run sort --help`
pub const SORT: &str = "\
mapfold run sort --help > help.txt
mapfold run sort help.txt --out sorted
cat sorted/part-r-* | head -n 5";

/// `mapfold run aggregate --help`
pub const AGGREGATE: &str = "\
printf 'station,depth\\nA,2.5\\nB,4\\nA,3.5\\n' > depths.csv
mapfold run aggregate depths.csv --by station --agg depth:mean,max,count
mapfold run aggregate depths.csv --by station --agg depth:mean --out means.csv";

/// `mapfold run streaming --help`
pub const STREAMING: &str = "\
mapfold run streaming --help > help.txt
mapfold run streaming help.txt --out counts --mapper 'tr -s \" \" \"\\n\"' \
  --reducer 'uniq -c'";

/// `mapfold info --help`
pub const INFO: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold info s2/S2_20230108/B04.tif
mapfold info s2/S2_20230108/B04.tif --json > B04.json";

/// `mapfold preview --help`
pub const PREVIEW: &str = "\
mapfold gen scene s2 --size 512 --bands B08,SCL
cd s2/S2_20230108
mapfold preview B08.tif -o grey.png --stretch
mapfold preview B08.tif -o colours.png --stretch=1,99 --ramp viridis
mapfold preview SCL.tif -o classes.png --ramp scl --size 500
Bands of a file with several: mapfold preview scene.tif#B04,B03,B02 ...";

/// `mapfold gen scene --help`
pub const SCENE: &str = "\
mapfold gen scene s2 --size 1024
mapfold gen scene year --size 256 --dates 12 --bands B04,B08,SCL
mapfold gen scene edge --size 512 --bands B04,B08 --nodata-wedge";

/// `mapfold new --help`
pub const NEW: &str = "\
mapfold new my-job --mapfold ~/mapfold
cd my-job
cargo test";

/// `mapfold bundle --help`
pub const BUNDLE: &str = "\
mapfold bundle
mapfold bundle -o mapfold.tar.gz
tar -xzf mapfold.tar.gz
./mapfold/mapfold list";

/// `mapfold manifest --help`
pub const MANIFEST: &str = "\
mapfold manifest slurm --workers 4 --cpus 16 -- \\
  run ndvi --red /d/B04.tif --nir /d/B08.tif --out /d/ndvi.tif > job.sh
mapfold manifest kubernetes --image my-registry/mapfold --workers 4 -- \\
  run wordcount s3://bucket/text --out s3://bucket/counts > job.json
Then: sbatch job.sh, or kubectl apply -f job.json";

/// `mapfold fsck --help`
pub const FSCK: &str = "\
mapfold fsck .
mapfold fsck ndvi.tif --clean";

/// `mapfold cp --help`
pub const CP: &str = "\
mapfold gen scene s2 --size 256 --bands B04
mapfold cp -r s2 copies/
mapfold cp 's2/*/B04.tif' tiles/
mapfold cp -r s2 copies/ --resume
Into a store: mapfold cp -r s2 s3://bucket/s2, mapfold cp a.tif hdfs://nn/in/";

/// `mapfold ls --help`
pub const LS: &str = "\
mapfold gen scene s2 --size 256 --bands B04
mapfold ls s2
mapfold ls -r -l s2
mapfold ls 's2/*/*.tif' --json > tiles.json
Elsewhere: mapfold ls s3://bucket/s2 -D aws_profile=work";

/// `mapfold cat --help`
pub const CAT: &str = "\
mapfold run wordcount --help > help.txt
mapfold run wordcount help.txt --out counts
mapfold cat 'counts/part-*' > counts.txt";

/// `mapfold head --help`
pub const HEAD: &str = "\
mapfold run sort --help > help.txt
mapfold head help.txt -n 3
mapfold head help.txt -c 16";

/// `mapfold rm --help`
pub const RM: &str = "\
mapfold gen scene s2 --size 256 --bands B04
mapfold rm 's2/*/*.tif'
mapfold rm -r s2 --dry-run
mapfold rm -r s2";

/// `mapfold config --help`
pub const CONFIG: &str = "\
mapfold config list
mapfold config show --origin
mapfold config show --origin -D aws_region=eu-central-1";

/// `mapfold cluster --help` and `mapfold cluster create --help`
pub const CLUSTER: &str = "\
mapfold cluster create emr --instances 4 --auto-terminate --dry-run
mapfold cluster create emr --idle-timeout 30m --spot 8 --dry-run > ask.json
Then, without --dry-run, a job there: mapfold run ... --target emr://j-...
To end it before its idle time: mapfold cluster destroy j-...";

/// `mapfold cluster clone --help`
pub const CLUSTER_CLONE: &str = "\
mapfold cluster create emr --dry-run
One like another, whatever became of that: mapfold cluster clone j-...";

/// `mapfold cluster list --help`
pub const CLUSTER_LIST: &str = "\
mapfold cluster create emr --dry-run
Those that stand: mapfold cluster list --region eu-central-1
Their ids alone: mapfold cluster list | cut -d' ' -f1";

/// `mapfold cluster ssh --help`
pub const CLUSTER_SSH: &str = "\
mapfold cluster create emr --key my-key --dry-run
Then: mapfold cluster ssh j-... -i my-key.pem -- yarn application -list";

/// `mapfold cluster destroy --help`
pub const CLUSTER_DESTROY: &str = "\
mapfold cluster create emr --dry-run
All of them: mapfold cluster destroy $(mapfold cluster list | cut -d' ' -f1)";

/// `mapfold dev --help`
pub const DEV: &str = "\
mapfold dev up gcs
mapfold dev status
mapfold dev down
A real HDFS: mapfold dev up hdfs, then eval \"$(mapfold dev env)\"";

/// `mapfold dev up --help`
pub const DEV_UP: &str = "\
mapfold dev up gcs
mapfold dev up gcs --json > parts.json
mapfold dev down --delete
Several: mapfold dev up hdfs s3; with YARN: mapfold dev up yarn";

/// `mapfold dev down --help`
pub const DEV_DOWN: &str = "\
mapfold dev down
mapfold dev down gcs --delete";

/// `mapfold dev status --help`
pub const DEV_STATUS: &str = "\
mapfold dev status
mapfold dev status --json > parts.json";

/// `mapfold dev env --help`
pub const DEV_ENV: &str = "\
mapfold dev up gcs
mapfold dev env gcs > gcs.sh
mapfold dev down --delete
In a shell: eval \"$(mapfold dev env)\"";

/// `mapfold completion --help`
pub const COMPLETION: &str = "\
mkdir -p ~/.local/share/bash-completion/completions ~/.config/fish/completions
mapfold completion bash > ~/.local/share/bash-completion/completions/mapfold
mapfold completion fish > ~/.config/fish/completions/mapfold.fish
For zsh, into a folder of $fpath: mapfold completion zsh > _mapfold";

/// `mapfold man --help`
pub const MAN: &str = "\
mapfold man ~/.local/share/man/man1
Then: man mapfold, man mapfold-run-ndvi";

/// `mapfold jobs --help`
pub const JOBS: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif
mapfold jobs
mapfold jobs --json --limit 5 > jobs.json";

/// `mapfold status --help`
pub const STATUS: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif --detach
mapfold status stats --watch
mapfold status stats --json > stats.json";

/// `mapfold history --help`
pub const HISTORY: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif
mapfold history
mapfold history stats";

/// `mapfold logs --help`
pub const LOGS: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif --detach
mapfold logs stats --follow
Of one process of several: mapfold logs stats --member 1";

/// `mapfold why --help`
pub const WHY: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif
mapfold why stats";

/// `mapfold split --help`
pub const SPLIT: &str = "\
mapfold gen scene s2 --size 512 --bands B04
mapfold run stats s2/S2_20230108/B04.tif
mapfold split stats 0 --stage 0
A parameter that held a secret: mapfold split ndvi 417 --param red=URL";

/// `mapfold scale --help`
pub const SCALE: &str = "\
mapfold jobs
For a job that was started with --workers 2..8: mapfold scale ndvi 6";

/// `mapfold kill --help`
pub const KILL: &str = "\
mapfold jobs
By its name, or by the begin of its id: mapfold kill ndvi, mapfold kill 1a2b";

const EXIT: &str = "\
Exit codes:
  0    done
  1    the job failed; no output became visible
  2    the command is wrong
  3    an input or output cannot be used
  4    done, with splits left out as --on-error skip allows
  130  stopped by Ctrl-C
  143  stopped by TERM";

const ENVIRONMENT: &str = "\
Environment:
  MAPFOLD_MEMORY_LIMIT     as --memory-limit
  MAPFOLD_SSH              command for --target ssh://, for example ssh -F FILE
  MAPFOLD_JOB_PROFILE      profile that `mapfold run ./my-job` builds in
  MAPFOLD_HTTP_RETRIES     how often a failed HTTP request is tried again
  AWS_*, GOOGLE_*, AZURE_*, HADOOP_CONF_DIR
                           stores: `mapfold config list`, `mapfold config show`
  RUST_LOG                 what to log, for example debug; goes before -v
  NO_COLOR, CLICOLOR_FORCE colours never, always";

/// Lines as they stand under a help text: commands, then (without indentation) notes.
pub fn text(lines: &str) -> String {
    format!("Examples:\n{}", indented(lines))
}

/// The same lines indented, as [`mapfold::Builtin::examples`] wants them.
pub fn indented(lines: &str) -> String {
    lines.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

/// What `mapfold --help` says more than `-h`.
pub fn long() -> String {
    format!("{}\n\n{EXIT}\n\n{ENVIRONMENT}", text(MAPFOLD))
}
