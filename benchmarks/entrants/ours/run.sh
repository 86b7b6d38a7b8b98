# Trains on $PLAYS, and exports to $MODEL: `sh run.sh train`. Serves a recommender: `sh run.sh NAME`.
set -eu
if [ "$1" = train ]; then
    if head -n 1 "$PLAYS" | grep -q played_at; then kind=time; else kind=newest; fi
    listening-loop ingest --sql "SELECT * FROM read_csv('$PLAYS')" --store "$MODEL/store"
    exec listening-loop search --config ours/search.yaml --set "split.kind=$kind" \
        --set "store=$MODEL/store" --set "run=$MODEL/run" --out "$MODEL/export"
fi
exec listening-loop serve --published "$MODEL/export" --set host=127.0.0.1 --port "$PORT" --set repeat_after=1 \
    --set seed=0 --set "log_dir=$MODEL/log-$PORT" \
    --set "experiments=[{name: BENCH, arms: [{name: C, recommender: '$1'}]}]"
