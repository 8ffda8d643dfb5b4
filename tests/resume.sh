#!/bin/sh
# Training killed (SIGKILL) at random moments and resumed ends in the bytes of an undisturbed run.    resume.sh FACENET FOLDER
facenet=$1
out=$2/resume
options="--people 60 --pictures 4 --size 32 --softmax-steps 40 --steps 60 --batch-people 8 --save-every 3 \
--validate-people 10 --validate-every 10 --threads 1"
kills=20
failed=0
rm -rf "$out"
command -v timeout > /dev/null || { echo "skipped resume: there is no timeout command"; exit 77; }

begin=$(date +%s%N)
$facenet train --out "$out/whole" $options > /dev/null 2>&1 || { echo "FAILED resume: the undisturbed run"; exit 1; }
length=$((($(date +%s%N) - begin) / 1000000))

for i in $(seq $kills); do
    # Moments from a fixed seed; the run's length is that of this machine.
    moment=$(awk -v i="$i" -v ms="$length" 'BEGIN {srand(i); printf "%.3f", rand() * ms / 1000 + 0.02}')
    timeout -s KILL "$moment" $facenet train --out "$out/killed" $options > /dev/null 2>&1
    if [ -e "$out/killed/checkpoint.safetensors" ]; then again=--resume; else again=$options; fi
    # Killed once more on the way, then left alone.
    timeout -s KILL "$moment" $facenet train --out "$out/killed" $again > /dev/null 2>&1
    if [ -e "$out/killed/checkpoint.safetensors" ]; then again=--resume; else again=$options; fi
    if ! $facenet train --out "$out/killed" $again > /dev/null 2> "$out/talk"; then
        echo "FAILED resume after $moment s: $(tail -n 1 "$out/talk")"
        failed=1
    elif ! cmp "$out/whole/model.safetensors" "$out/killed/model.safetensors" || \
         ! cmp "$out/whole/log.csv" "$out/killed/log.csv"; then
        echo "FAILED resume after $moment s: other bytes"
        failed=1
    fi
    rm -rf "$out/killed"
done
[ $failed -eq 0 ] && echo "ok resume: $kills runs killed twice at random moments end in the bytes of an undisturbed one"
exit $failed
