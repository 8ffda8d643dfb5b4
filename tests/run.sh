#!/bin/sh
# Runs both builds' tests, the float ones with the kernels of every instruction set that this CPU has, and adds up: a name
# that runs several times passes if it always does; one that was started and never ended (a crash) has failed.
#     tests/run.sh BUILD-FOLDER [--long]
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1}" # asking for too much is tested
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" # waiting threads leave the cores to others
build=$1
shift
results=$build/test-results
: > "$results"
best=${TSR_KERNELS:-$("$build/tests" --levels | grep -v emulated | tail -n 1)}
for level in ${TSR_KERNELS:-$("$build/tests" --levels)}; do
    echo "kernels: $level"
    names=.
    only= # what no kernel decides, the programs, is tested with the best of them alone
    [ "$level" != "$best" ] && only=--library
    [ "$level" = tiles-emulated ] && names='product_ parts conv_keeps matmul linear kernels_are' # what it is for: it is slow
    for name in $names; do
        TSR_KERNELS=$level "$build/tests" --results "$results" $only "$@" ${name#.}
        echo "stop" >> "$results"
    done
done
"$build/double/tests" --results "$results" "$@"
echo "stop" >> "$results"
# A script counts as a test: it passes with status 0, and is skipped with 77.
run_script() {
    name=$1
    shift
    echo "start $name" >> "$results"
    sh "$@"
    case $? in
    0) echo "pass $name" ;;
    77) echo "skip $name" ;;
    *) echo "fail $name" ;;
    esac >> "$results"
    echo "stop" >> "$results"
}
run_script every_function_is_given_bad_arguments tests/faults/rows.sh
case " $* " in *" --long "*) long=--long ;; *) long= ;; esac
run_script no_state_outside_of_contexts tests/faults/globals.sh "$build"
run_script facenet_out_of_memory tests/faults/memory.sh "$build" "$build/test-tmp" $long
run_script facenet_without_room_or_killed tests/faults/disk.sh "$build" "$build/test-tmp" $long
run_script programs tests/programs.sh "$build" "$build/test-tmp"
run_script amalgamation tests/ports/amalgamation.sh "$build" "$build/test-tmp" "$@"
case " $* " in
*" --long "*)
    run_script facenet_killed_and_resumed tests/resume.sh "$build/facenet" "$build/test-tmp"
    run_script install tests/ports/install.sh "$build" "$build/test-tmp"
    ;;
esac
awk '
    $1 == "start" { open = $2; seen[$2] = 1 }
    $1 == "pass"  { open = "" }
    $1 == "fail"  { bad[$2] = 1; open = "" }
    $1 == "skip"  { skipped[$2] = 1; open = "" }
    $1 == "stop" && open != "" { bad[open] = 1; print "CRASHED " open; open = "" }
    END {
        for (name in seen) {
            if (name in bad) failed++
            else if (name in skipped) skips++
            else passed++
        }
        printf "%d passed, %d failed", passed, failed
        if (skips) printf ", %d skipped", skips
        print ""
        exit failed > 0 || passed == 0
    }' "$results"
