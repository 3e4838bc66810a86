#!/usr/bin/env bash
# Several hosts on one machine: network namespaces joined by a bridge, each behind a wire of its own. Runs COMMAND in
# the midst of them and ends with its exit code; 77 where the machine does not permit such hosts.
#   tests/network/hosts.sh [--rate MBIT [--burst MS] [--queue MS]] N COMMAND...
#
# The hosts are host0 ... host<N-1> with the addresses 10.77.0.10, .11, ...; those names are known to all. COMMAND does
# not run on a host but where the bridge is; it reaches a host by $GOSSAMER_ON_HOST HOST COMMAND..., and mpirun does by
# the same program (--mca plm_rsh_agent). $GOSSAMER_HOSTS is the list of names, $GOSSAMER_SUBNET their subnet. The wire
# of host K is seen from the bridge as to-hostK: what the host sent is its rx_bytes. Each direction of a wire carries
# MBIT million bits a second; after a pause, what it would have carried in MS milliseconds (10) passes at once; what would
# wait for longer than MS milliseconds of --queue (50) is dropped.
#
# Everything lives in network, mount and process namespaces of this run alone, which the kernel takes down with all
# processes in them when this script ends, be it by kill -9. Two runs see nothing of each other.
set -euo pipefail

if [[ ${1:-} != --inside ]]; then
  here=$(cd "$(dirname "$0")" && pwd)
  export PATH=$PATH:/usr/sbin:/sbin
  for tool in ip tc unshare setpriv hostname; do
    command -v $tool >/dev/null || { echo "hosts.sh: skipped: there is no $tool" >&2; exit 77; }
  done
  isolate=(unshare --net --mount --pid --fork --kill-child --mount-proc)
  ((EUID == 0)) || isolate+=(--map-root-user)
  # All that the hosts need of the kernel, tried once.
  "${isolate[@]}" sh -ec 'mount -t sysfs sysfs /sys && mount -t tmpfs hosts /run && mkdir /run/netns && ip netns add probe
    ip link add probe-bridge type bridge && ip link add probe0 type veth peer name probe1 netns probe
    tc qdisc add dev probe0 root tbf rate 100mbit burst 64kb latency 50ms
    ip netns exec probe unshare --uts hostname probe' >/dev/null 2>&1 || {
    echo "hosts.sh: skipped: network namespaces, veth, bridges or tbf are not permitted here" >&2
    exit 77
  }
  trap 'kill -KILL $hosts 2>/dev/null || true' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  setpriv --pdeathsig KILL "${isolate[@]}" "$here/hosts.sh" --inside "$@" <&0 &
  hosts=$!
  status=0
  wait $hosts || status=$?
  exit $status
fi
shift

rate=0 burst_ms=10 packets=65536 queue_ms=50
if [[ $1 == --rate ]]; then
  rate=$2
  shift 2
fi
if [[ $1 == --burst ]]; then
  burst_ms=$2 packets=3200
  shift 2
fi
if [[ $1 == --queue ]]; then
  queue_ms=$2
  shift 2
fi
count=$1
shift

mount -t sysfs sysfs /sys
mount -t tmpfs hosts /run
mkdir /run/netns
{
  echo "127.0.0.1 localhost"
  for ((k = 0; k < count; ++k)); do echo "10.77.0.$((10 + k)) host$k"; done
} >/run/hosts
mount --bind /run/hosts /etc/hosts
cat >/run/on_host <<'AGENT'
#!/bin/sh
# on_host HOST COMMAND...: like ssh, the words of COMMAND are joined and read by a shell.
host=$1
shift
exec ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec sh -c "$1"' "$host" "$*"
AGENT
chmod +x /run/on_host

ip link set lo up
ip link add bridge type bridge
ip link set bridge up
names=
for ((k = 0; k < count; ++k)); do
  host=host$k
  names+=" $host"
  ip netns add $host
  ip link add to-$host type veth peer name eth0 netns $host
  ip link set to-$host master bridge up
  ip -n $host link set lo up
  ip -n $host address add 10.77.0.$((10 + k))/24 dev eth0
  ip -n $host link set eth0 up
  if ((rate > 0)); then
    # 10 ms is what the slowest kernel clock (100 Hz) lets through between two ticks; and at least one large packet, or,
    # with less, which needs a better clock, two of those that large ones are cut into.
    burst=$((rate * 125 * burst_ms > packets ? rate * 125 * burst_ms : packets))
    tc qdisc add dev to-$host root tbf rate "${rate}mbit" burst $burst latency ${queue_ms}ms
    tc -n $host qdisc add dev eth0 root tbf rate "${rate}mbit" burst $burst latency ${queue_ms}ms
  fi
done

export GOSSAMER_HOSTS=${names# } GOSSAMER_SUBNET=10.77.0.0/24 GOSSAMER_ON_HOST=/run/on_host
# Not exec: this shell is the first process here, and must pass on that of COMMAND's end.
trap 'exit 130' INT
"$@"
