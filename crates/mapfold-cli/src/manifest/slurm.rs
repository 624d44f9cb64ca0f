//! The batch script for Slurm: `srun` stands in for `ssh`.

use super::Slurm;

impl Slurm {
    /// The script for `sbatch`.
    pub(super) fn script(&self) -> String {
        let what = &self.what;
        let partition = self.partition.iter().map(|p| format!("#SBATCH --partition={p}\n")).collect::<String>();
        let (name, workers, cpus, memory, time) = (&what.name, what.workers, what.cpus, what.mebibytes(), &self.time);
        // The first node also has the coordinator, which needs little: members may use 80 % of the memory.
        let line = what.line("\"$work/hosts\"", "\"$(hostname)\"");
        format!(
            r#"#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={workers}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
#SBATCH --mem={memory}M
#SBATCH --time={time}
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
{partition}
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The hosts of this allocation, one member each.
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/ slots=1/' > "$work/hosts"

# mapfold calls ssh: OPTIONS -- HOST COMMAND. Here srun starts the command, inside the allocation.
cat > "$work/srun-as-ssh" <<'END'
#!/bin/bash
while [ "$1" != -- ]; do shift; done
exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$2" --unbuffered /bin/sh -c "$3"
END
chmod 700 "$work/srun-as-ssh"
export MAPFOLD_SSH="$work/srun-as-ssh"

# A job that Slurm starts again goes on where it was.
resume=
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] || resume=--resume

{line} $resume &
job=$!
trap 'kill -TERM "$job"' TERM
wait "$job"
"#
        )
    }
}
