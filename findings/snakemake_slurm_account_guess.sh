#!/usr/bin/env bash
# snakemake-executor-plugin-slurm 2.8.0: `--slurm-no-account` ("do not use any account") is declared and never read, so the
# account is guessed all the same; and the guess cannot succeed: its pipe `| tail -1` is handed to sacct as three
# arguments, without a shell, which SLURM's sacct refuses ("invalid option -- '1'"). So a site that wants an account must
# be given one (slurm_account), and one that wants none sees a warning with each submission. The stand-ins for SLURM's
# commands write down how they are called; sacct refuses options that the real one does not have, as the real one does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check snakemake==9.27.1 \
    snakemake-executor-plugin-slurm==2.8.0
cd "$work"
mkdir bin
cat > bin/sacct <<'SH'
#!/bin/sh
printf '[%s]' "$@" >> sacct.log; echo >> sacct.log
for argument in "$@"; do
    [ "$argument" = "-1" ] && { echo "sacct: invalid option -- '1'" >&2; exit 1; }
done
echo "physics"
SH
printf '#!/bin/sh\necho "$@" >> sbatch.log\nexit 1\n' > bin/sbatch
printf '#!/bin/sh\nexit 0\n' | tee bin/squeue bin/scancel bin/sinfo bin/scontrol bin/sacctmgr > /dev/null
chmod +x bin/*
printf 'rule one:\n    output: "one.txt"\n    shell: "touch {output}"\n' > Snakefile
PATH="$work/bin:$work/env/bin:$PATH" snakemake --executor slurm --jobs 1 --slurm-no-account > run.log 2>&1 || true
"$work/env/bin/python" -m pip list 2> /dev/null | grep -i '^snakemake'
echo "sacct was called with: $(head -1 sacct.log)"
echo "snakemake said:        $(grep -m1 "able to get a SLURM account" run.log)"
grep -qF '[|][tail][-1]' sacct.log && grep -q "invalid option -- '1'" run.log && ! grep -q physics sbatch.log
