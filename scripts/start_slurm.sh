#!/bin/sh
# Start a Slurm of one node on this machine, to try sweeps on: sh scripts/start_slurm.sh FOLDER
# Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. FOLDER keeps its state; `export
# SLURM_CONF=FOLDER/slurm.conf` makes sbatch and squeue use it. `sh scripts/start_slurm.sh FOLDER stop` ends it.
# Jobs in the partition `urgent` preempt those in `main`, which is the default.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
export SLURM_CONF="$folder/slurm.conf"

if [ "${2:-}" = stop ]; then
    for name in slurmd slurmctld; do
        if [ -f "$folder/$name.pid" ]; then kill "$(cat "$folder/$name.pid")" || true; fi
    done
    if [ -f "$folder/munged" ]; then munged --stop && rm "$folder/munged"; fi
    exit
fi

host=$(hostname -s)
# Cores by getconf, since nproc counts no more than OMP_NUM_THREADS. A task that is queued again waits until its
# credential has expired: 5 seconds here, 2 minutes by default.
mkdir -p "$folder/state" "$folder/spool" /run/munge
chown munge:munge /run/munge
cat >"$SLURM_CONF" <<CONF
ClusterName=trial
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=$(awk '/MemTotal/ {print int($2 / 1280)}' /proc/meminfo)
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=$host Default=YES DefMemPerCPU=1000 PriorityTier=1 State=UP
PartitionName=urgent Nodes=$host DefMemPerCPU=1000 PriorityTier=2 State=UP
CONF
if ! munge -n </dev/null 2>&1 | unmunge >/dev/null 2>&1; then
    runuser -u munge -- munged
    touch "$folder/munged"
fi
if scontrol ping >/dev/null 2>&1; then
    echo "a Slurm runs on this machine already; stop it first" >&2
    exit 1
fi
slurmctld
slurmd
for _ in 1 2 3 4 5 6 7 8 9 10; do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then exec sinfo; fi
    sleep 1
done
echo "the node does not come up; see $folder/slurmd.log and $folder/slurmctld.log" >&2
exit 1
