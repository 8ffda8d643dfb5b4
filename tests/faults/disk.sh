#!/bin/sh
# facenet where files cannot be written or it is killed while it writes: status 1, a line that says so, and what was there
# before is there still.    disk.sh BUILD FOLDER [--long]
facenet=$1/facenet
case $facenet in /*) ;; *) facenet=$(pwd)/$facenet ;; esac
out=$2/disk
kills=25
[ "$3" = --long ] && kills=300
failed=0
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
picture=$(pwd)/apps/facenet/faces.png
small="--people 4 --pictures 2 --threads 1"
train="$small --size 32 --softmax-steps 1 --steps 2 --batch-people 2 --batch-pictures 2"
model=$out/old/model.safetensors
enroll="--model $model --align crop --threads 1"

bad() {
    echo "FAILED disk: $*"
    failed=1
}

# WHAT VERB [STATUS]: the run whose status is $? said in one line on $out/said why it failed.
told() {
    status=$?
    [ $status -eq 1 ] || bad "$1: status $status: $(cat "$out/said")"
    grep -v ' images/s ' "$out/said" | tail -n 1 | grep -q "^facenet $2: ..*" || bad "$1: no line says so: $(cat "$out/said")"
}

# WHAT FOLDER: what $out/old has of value is in FOLDER, byte by byte.
kept() {
    for name in model.safetensors checkpoint.safetensors gallery; do
        cmp -s "$out/old/$name" "$2/$name" || bad "$1: $name is lost"
    done
    for name in "$2"/*.tmp* "$2"/*~; do [ -e "$name" ] && bad "$1: $name is left behind"; done
}

"$facenet" train --out "$out/old" $train > /dev/null 2>&1 || bad "the first training"
"$facenet" enroll $enroll --gallery "$out/old/gallery" Ann "$picture" > /dev/null 2>&1 || bad "the first enrolment"

# ---- no room: files end at so many blocks of 512 bytes, as on a full disk ------------------------------------------
# Clang's OpenMP ends a program by itself where it may not write a page: nothing can be asked of the program then.
threads_failed() { grep -q '^OMP: Error' "$out/said"; }
full=0
for blocks in 0 1 8 100 500 1500 3000; do
    rm -rf "$out/full"
    cp -R "$out/old" "$out/full"
    (trap '' XFSZ; ulimit -f $blocks; exec "$facenet" train --out "$out/full" $train --seed 2) 2>&1 > "$out/talk" | cat > "$out/said"
    threads_failed && continue
    grep -q '^facenet train: .*\(written\|full\|space\|large\|room\)' "$out/said" || bad "training, $blocks blocks: $(cat "$out/said")"
    [ $blocks -le 500 ] && kept "training, $blocks blocks" "$out/full"
    full=$((full + 1))
done
for blocks in 0 1; do
    rm -rf "$out/full"
    cp -R "$out/old" "$out/full"
    (trap '' XFSZ; ulimit -f $blocks; exec "$facenet" enroll $enroll --gallery "$out/full/gallery" Bob "$picture") 2>&1 > /dev/null | cat > "$out/said"
    threads_failed && continue
    grep -q '^facenet enroll: ' "$out/said" || bad "enrolling, $blocks blocks: $(cat "$out/said")"
    kept "enrolling, $blocks blocks" "$out/full"
    full=$((full + 1))
done

# ---- nobody takes what is said ---------------------------------------------------------------------------------------
silent=0
for verb in "summary" "list --gallery $out/old/gallery" "eval --model $model $small --no-identification --out $out/eval" \
            "identify --gallery $out/old/gallery $enroll $picture" "train --out $out/silent $train"; do
    if [ -c /dev/full ]; then
        "$facenet" $verb > /dev/full 2> "$out/said" < /dev/null
        told "$verb to a full device" "${verb%% *}"
        silent=$((silent + 1))
    fi
    "$facenet" $verb >&- 2> "$out/said" < /dev/null
    told "$verb to a closed output" "${verb%% *}"
    silent=$((silent + 1))
done

# ---- folders that are not there, are no folders, may not be written or vanish ------------------------------------------
: > "$out/file"
"$facenet" train --out "$out/file/below" $train > /dev/null 2> "$out/said"
told "a folder below a file" train
mkdir "$out/gone"
(cd "$out/gone" && rmdir "$out/gone" && exec "$facenet" train --out there $train) > /dev/null 2> "$out/said"
told "a working folder that has gone" train
cp -R "$out/old" "$out/locked"
chmod a-w "$out/locked"
if ! touch "$out/locked/x" 2> /dev/null; then # who may do everything meets no locked folder
    "$facenet" train --out "$out/locked" $train > /dev/null 2> "$out/said"
    told "a folder that may not be written" train
    kept "a folder that may not be written" "$out/locked"
fi
chmod u+w "$out/locked"
"$facenet" train --out "$out/vanishing" $small --size 32 --steps 4000 --batch-people 2 --save-every 5 > /dev/null 2> "$out/said" &
process=$!
while [ ! -e "$out/vanishing/checkpoint.safetensors" ] && kill -0 $process 2> /dev/null; do sleep 0.05; done
mv "$out/vanishing" "$out/vanished"
wait $process
told "a folder that vanished in training" train

# ---- stopped and continued: system calls are interrupted, nothing changes ----------------------------------------------
"$facenet" train --out "$out/stopped" $train > /dev/null 2>&1 &
process=$!
for i in 1 2 3 4 5 6 7 8; do kill -STOP $process; sleep 0.01; kill -CONT $process; sleep 0.01; done 2> /dev/null
wait $process || bad "a training that was stopped and continued"
cmp -s "$out/old/model.safetensors" "$out/stopped/model.safetensors" || bad "stopped and continued: other bytes"

# ---- killed while it saves ---------------------------------------------------------------------------------------------
if command -v timeout > /dev/null; then
    cp -R "$out/old" "$out/killed"
    i=0
    while [ $i -lt $kills ]; do
        moment=$(awk -v i=$i 'BEGIN {srand(i); printf "%.4f", 0.005 + 0.15 * rand()}')
        timeout -s KILL "$moment" "$facenet" train --out "$out/killed" $train --steps 40 --save-every 1 > /dev/null 2>&1
        "$facenet" embed --model "$out/killed/model.safetensors" $small --out "$out/embedded" > /dev/null 2> "$out/said" ||
            bad "kill $i: the model: $(cat "$out/said")"
        if [ $((i % 5)) -eq 0 ]; then
            "$facenet" train --out "$out/killed" --resume --plan > /dev/null 2> "$out/said" || bad "kill $i: $(cat "$out/said")"
        fi
        timeout -s KILL "$(awk -v i=$i 'BEGIN {srand(i); printf "%.4f", 0.002 + 0.02 * rand()}')" \
            "$facenet" enroll $enroll --gallery "$out/killed/gallery" "Bob $i" "$picture" > /dev/null 2>&1
        "$facenet" list --gallery "$out/killed/gallery" 2> "$out/said" | grep -q Ann || bad "kill $i: the gallery: $(cat "$out/said")"
        i=$((i + 1))
    done
fi

# ---- two at once ---------------------------------------------------------------------------------------------------------
enroll_ten() {
    for i in 1 2 3 4 5 6 7 8 9 10; do
        "$facenet" enroll $enroll --gallery "$out/two/gallery" "$1$i" "$picture" > /dev/null 2>> "$out/said-$1" || bad "$1$i: $(cat "$out/said-$1")"
    done
}
mkdir "$out/two"
enroll_ten Left &
enroll_ten Right
wait
people=$("$facenet" list --gallery "$out/two/gallery" | grep -cE 'Left|Right')
[ "$people" -eq 20 ] || bad "of 20 enrolled by two at once $people are there"

[ $failed -eq 0 ] && echo "ok disk: $full full disks, $silent deaf outputs, folders gone, $kills + $kills kills, 20 enrolled by two at once"
exit $failed
