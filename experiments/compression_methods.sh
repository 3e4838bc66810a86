# shellcheck shell=bash disable=SC2154  # variables of who sources it
# Sourced: the methods of compression.up by the names that compression.sh and break_even.sh have for them.
#   keys_of NAME   their keys. $lr: the learning rate; $momentum_lr: that with momentum 0.9, at the server or before
#                  compression; $warmup: rounds over which dgc becomes sparse; $tau: what threshold sends
# ring-NAME: around a ring. gossip-NAME: compression.down of models, or of their differences (CHOCO-SGD), among neighbours
# on a ring (powersgd: with a smaller step, since with 0.1 copies run away). NAME-without: without error feedback.
# NAME-DENSITY: of esgd and top_k. ring-terngrad-shared: sums of whole numbers, by a scaler that all share.
keys_of() {
  case $1 in
    ring-*) echo "--topology.name ring $(keys_of "${1#ring-}")" ;;
    gossip-powersgd) echo "--topology.gossip.consensus_step 0.05 $(keys_of gossip-)powersgd" ;;
    gossip-*) echo "--topology.name gossip --client.lr $lr --compression.down ${1#gossip-}" ;;
    momentum) echo "--client.lr $momentum_lr --server.optimizer momentum --server.momentum.beta 0.9" ;;
    dgc)
      echo "--client.lr $momentum_lr --compression.up dgc --compression.dgc.density 0.001 --compression.min_size 4096" \
        "--compression.dgc.warmup_rounds $warmup"
      ;;
    esgd-*) echo "--client.lr $lr --compression.up esgd --compression.esgd.density ${1#esgd-}" ;;
    top_k-0*) echo "--client.lr $lr --compression.up top_k --compression.top_k.density ${1#top_k-}" ;;
    *-without) echo "--client.lr $lr --compression.up ${1%-without} --compression.error_feedback off" ;;
    terngrad-shared) echo "$(keys_of terngrad) --compression.all_reduce shared_scaler" ;;
    threshold) echo "--client.lr $lr --compression.up threshold --compression.threshold.tau $tau" ;;
    *) echo "--client.lr $lr --compression.up $1" ;;
  esac
}
