#!/bin/sh
# The programs as they are called: what they print, and how they end.    programs.sh BUILD FOLDER
build=$1
out=$2/programs
failed=0
rm -rf "$out"
mkdir -p "$out"

# STATUS TEXT COMMAND...: ends with this status, and says this on stdout or stderr, of errors in one line.
expect() {
    status=$1
    text=$2
    shift 2
    "$@" > "$out/said" 2>&1 < /dev/null
    got=$?
    lines=$(wc -l < "$out/said")
    if [ $got -ne "$status" ] || { [ -n "$text" ] && ! grep -qF -- "$text" "$out/said"; } || { [ "$status" -eq 1 ] && [ "$lines" -ne 1 ]; }; then
        echo "FAILED programs: $* ended with $got (not $status), said:"
        cat "$out/said"
        failed=1
    fi
}

picture=apps/facenet/faces.png
expect 0 "$picture: PNG (" "$build/image" info $picture
expect 0 "" "$build/image" convert $picture "$out/a.ppm" --size 64x48
expect 0 "" "$build/image" convert "$out/a.ppm" "$out/b.png"
expect 0 "mean=0.0000 maximum=0" "$build/image" diff "$out/a.ppm" "$out/b.png"
expect 0 "" "$build/image" convert "$out/a.ppm" "$out/c.pgm" --size 30x30 --crop --grey
expect 0 "PNM (grey), 30 x 30, grey, orientation 1" "$build/image" info "$out/c.pgm"
expect 1 "is 64 x 48" "$build/image" diff "$out/a.ppm" "$out/c.pgm"
expect 1 "image info: $out/none.png: cannot be opened" "$build/image" info "$out/none.png"
expect 1 "cannot be written" "$build/image" convert "$out/a.ppm" "$out/none/c.png"
expect 2 "usage: image VERB" "$build/image"
expect 2 "unknown verb frob" "$build/image" frob
expect 0 "identify" "$build/facenet" --help
expect 2 "did you mean --steps?" "$build/facenet" train --stpes 3
expect 1 "facenet train: $out/none: cannot be listed" "$build/facenet" train --data "$out/none"
expect 1 "$out/a.ppm: is cut off or no safetensors file" "$build/facenet" eval --model "$out/a.ppm"
expect 0 "[1, 6, 6, 6, 32]" "$build/signals" shapes
expect 1 "signals train: $out/none.tsv: cannot be opened" "$build/signals" train --data "$out/none.tsv"
for verb in train eval embed enroll list remove identify verify calibrate summary detect lessons import; do
    expect 0 "usage: facenet $verb" "$build/facenet" $verb --help
done
for verb in shapes train eval predict; do
    expect 0 "usage: signals $verb" "$build/signals" $verb --help
done
[ $failed -eq 0 ] && echo "ok programs"
exit $failed
