#!/bin/sh
# The k-th allocation of facenet fails, alone or with all later ones: status 1, one line that says so, and what was there
# before is there still. Some k; with --long every one.    memory.sh BUILD FOLDER [--long]
facenet=$1/facenet-faults
out=$2/denied
step=31 # prime, so that other k are met in other verbs
[ "$3" = --long ] && step=1
failed=0
[ -x "$facenet" ] || { echo "skipped memory: the linker has no --wrap"; exit 77; }
rm -rf "$out"
mkdir -p "$out/photos/ann"
small="--people 4 --pictures 2 --threads 1"
train="--size 32 --softmax-steps 1 --steps 2 --batch-people 2 --batch-pictures 2"
picture=apps/facenet/faces.png
model=$out/old/model.safetensors
cp $picture "$out/photos/ann/1.png"

bad() {
    echo "FAILED memory: $*"
    failed=1
}

# EACH KEPT VERB OPTIONS...: KEPT is a folder that VERB may change; it starts as a copy of $out/old each time. A file of
# the old folder must end with its old bytes or with those of the run in which nothing failed.
each() {
    kept=$1
    shift
    rm -rf "$out/good" "$kept"
    cp -R "$out/old" "$kept"
    FAULT_COUNT=$out/count "$facenet" "$@" > "$out/said" 2>&1 < /dev/null || bad "$1 without a fault: $(cat "$out/said")"
    cp -R "$kept" "$out/good"
    all=$(cat "$out/count")
    k=1
    met=0
    survived=0
    while [ "$k" -le "$all" ]; do
        for lasting in '' 1; do
            rm -rf "$kept"
            cp -R "$out/old" "$kept"
            FAULT_AT=$k FAULT_LASTING=$lasting FAULT_COUNT= \
                sh -c '[ -n "$FAULT_LASTING" ] || unset FAULT_LASTING; exec "$@"' - "$facenet" "$@" > "$out/talk" 2> "$out/said" < /dev/null
            status=$?
            # What went before the fault is on stderr too: the failure is its last line, and the only one that says so.
            case $status in
            1) grep -v ' images/s ' "$out/said" | tail -n 1 | grep -q "^facenet $1: ..*" || bad "$1, k = $k: no line: $(cat "$out/said")"
               [ "$(grep -ci 'memory' "$out/said")" -le 1 ] || bad "$1, k = $k: more than a line: $(cat "$out/said")" ;;
            0) survived=$((survived + 1)) ;; # done without: what it was for can be left out
            *) bad "$1, k = $k: status $status: $(cat "$out/said")" ;;
            esac
            for file in "$out"/old/*; do
                name=${file##*/}
                case $name in *.html | *.png | log.csv) continue ;; esac # told anew by each run
                cmp -s "$file" "$kept/$name" || cmp -s "$out/good/$name" "$kept/$name" || bad "$1, k = $k: $name is lost"
            done
            met=$((met + 1))
        done
        k=$((k + step))
    done
    echo "memory: $1: $met faults at $all allocations, $((met - survived)) told with status 1, $survived done without"
}

"$facenet" train --out "$out/old" $small $train > /dev/null 2>&1 || bad "the first training"
"$facenet" enroll --model "$model" --align crop --gallery "$out/old/gallery" Ann $picture > /dev/null 2>&1 || bad "the first enrolment"
each "$out/kept" train --out "$out/kept" $small $train --seed 2
each "$out/kept" train --out "$out/kept" --resume
each "$out/kept" enroll --model "$model" --align crop --threads 1 --gallery "$out/kept/gallery" Bob $picture
each "$out/kept" identify --model "$model" --align crop --threads 1 --gallery "$out/kept/gallery" $picture
each "$out/kept" embed --model "$model" --threads 1 --data "$out/photos" --out "$out/kept"
each "$out/kept" summary
[ "$3" = --long ] || step=311
each "$out/kept" eval --model "$model" $small --out "$out/kept"
[ $failed -eq 0 ] && echo "ok memory: each allocation that fails is an error with words, and nothing that existed is lost"
exit $failed
