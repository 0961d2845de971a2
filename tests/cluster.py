"""A one-node SLURM on loopback out of Debian's packages (munge, slurmctld, slurmd), for tests of the workflow.

python tests/cluster.py          # starts it, prints what to export, and runs until interrupted
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
JOBS_A_CORE = 3  # so that jobs of two engines run side by side, as on a cluster of many nodes
# Where SLURM's programs look in the end: Snakemake clears a job's SLURM variables, SLURM_CONF too.
FOUND_BY_JOBS = Path("/run/slurm/conf/slurm.conf")
CONFIGURATION = """
ClusterName=kdlib
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=500000
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Programs of the cluster that this machine lacks."""
    return [name for name in PROGRAMS if not shutil.which(name, path=_path())]


class Cluster:
    """Context manager: a running cluster, and in `environment` what its users' processes need."""

    def __enter__(self) -> "Cluster":
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        (self.folder / "state").mkdir()
        (self.folder / "spool").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        host = socket.gethostname().split(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        controller_port, node_port = _free_ports(2)
        self.configuration = self.folder / "slurm.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                host=host,
                folder=self.folder,
                cores=JOBS_A_CORE * len(os.sched_getaffinity(0)),
                memory=int(0.9 * memory),
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        FOUND_BY_JOBS.parent.mkdir(parents=True, exist_ok=True)
        if FOUND_BY_JOBS.is_symlink() and not _runs(FOUND_BY_JOBS.readlink().parent / "slurmctld.pid"):
            FOUND_BY_JOBS.unlink()  # of a cluster that was killed
        FOUND_BY_JOBS.symlink_to(self.configuration)
        self.environment = os.environ | {"SLURM_CONF": str(self.configuration), "PATH": _path()}
        self.processes: list[subprocess.Popen] = []
        try:
            self._start(
                *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket"),
                *(f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log"),
                *(f"--seed-file={self.folder}/munged.seed", "--num-threads=2"),
            )
            self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D", "-c")
            self._start("slurmd", "-D", "-N", host)
            self._wait(lambda: "idle" in self.call("sinfo", "--noheader", "--format=%T"), "the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        FOUND_BY_JOBS.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, *command: str) -> str:
        """Standard output of a client's call."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    def _start(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "w") as log:
            self.processes.append(
                subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            )

    def _wait(self, ready, what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                logs = "\n".join(f"{p.name}:\n{p.read_text()[-2000:]}" for p in sorted(self.folder.glob("*.[lo]*")))
                raise RuntimeError(f"{what} did not come up\n{logs}")
            time.sleep(0.2)


def _runs(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where Debian puts the daemons


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    with Cluster() as cluster:
        print(f"export SLURM_CONF={cluster.configuration}", flush=True)
        signal.pause()
