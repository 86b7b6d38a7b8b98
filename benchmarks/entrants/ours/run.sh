# Learns from $PLAYS and serves a recommender: sh run.sh RECOMMENDER OPTIONS-OF-SEARCH.
set -eu
recommender=$1
shift
if head -n 1 "$PLAYS" | grep -q played_at; then kind=time; else kind=newest; fi
listening-loop ingest --sql "SELECT * FROM read_csv('$PLAYS')" --store "$WORK/store"
listening-loop search "$@" --set "split.kind=$kind" --set "store=$WORK/store" --set "run=$WORK/run" --out "$WORK/export"
exec listening-loop serve --published "$WORK/export" --set host=127.0.0.1 --port "$PORT" --set repeat_after=1 \
    --set seed=0 --set "log_dir=$WORK/log" \
    --set "experiments=[{name: BENCH, arms: [{name: C, recommender: '$recommender'}]}]"
