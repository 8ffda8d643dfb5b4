#!/bin/sh
# make run: trains, then evaluates on people never seen in training.    run.sh FOLDER-OF-BINARIES OUT [DATA]
bin=$1
out=$2
data=$3
set -e
if [ -z "$data" ]; then
    "$bin/facenet" train --out "$out"
    "$bin/facenet" eval --model "$out/model.safetensors" --out "$out"
else
    if [ -d "$data" ]; then people=$(find "$data" -mindepth 1 -maxdepth 1 -type d ! -name '.*' | wc -l)
    else people=$(tr -d '\r' < "$data" | cut -f2 | sort -u | grep -c .)
    fi
    train=$((people - people / 5))
    "$bin/facenet" train --data "$data" --people "$train" --out "$out"
    "$bin/facenet" eval --model "$out/model.safetensors" --data "$data" --skip-people "$train" --out "$out"
fi
