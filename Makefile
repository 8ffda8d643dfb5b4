# Tessera. GNU make and a C11 compiler are enough.    make help

REAL   ?= float#   float, or double: the same sources for exact gradient checks
OPENMP ?= auto#    auto: used when the compiler has it; 0: not
BUILD  ?= build
OPT    ?= -O2 $(VECTORISE)
SANITIZE ?=#       for example address,undefined

# What of GCC's -O3 pays: loops in vectors, with what does not change decided outside. The rest makes programs half as
# large again and no faster. Clang does so at -O2 by itself.
works = $(shell echo 'int main(void){return 0;}' | $(CC) -Werror $(1) -x c - -o /dev/null 2>/dev/null && echo '$(1)')
VECTORISE := $(call works,-ftree-vectorize -fvect-cost-model=dynamic -funswitch-loops)

comma := ,
# Zeroing a struct of a hundred bytes by `rep stos`, as GCC does on x86, takes longer than an op on a few values.
VECTORISE += $(call works,-mmemset-strategy=unrolled_loop:512:noalign$(comma)libcall:-1:noalign)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes
# No -ffast-math, no -march: kernels choose their instruction set when the program starts. The two -fno- flags change no
# result, they only say that nobody looks at errno or at floating-point exception flags.
CFLAGS ?= $(OPT) -g
ALL_CFLAGS := -std=c11 $(CFLAGS) -ffp-contract=off -fno-math-errno -fno-trapping-math $(WARNINGS) -I.
# On 32-bit x86: numbers in registers have as many digits as their type, as everywhere else.
ALL_CFLAGS += $(call works,-msse2 -mfpmath=sse)
LIBS := -lm

ifeq ($(REAL),double)
  ALL_CFLAGS += -DTSR_DOUBLE
  OUT := $(BUILD)/double
else
  OUT := $(BUILD)
endif
ifneq ($(OPENMP),0)
  ALL_CFLAGS += $(call works,-fopenmp)
endif
# Each function in a section of its own, so that a program is linked with those it uses.
SECTIONS := $(call works,-ffunction-sections -fdata-sections -Wl$(comma)--gc-sections)
ALL_CFLAGS += $(filter -f%,$(SECTIONS))
LIBS += $(filter -Wl%,$(SECTIONS))
ifneq ($(SANITIZE),)
  ALL_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif

OBJ := $(BUILD)/$(REAL)/objects
LIB := $(OUT)/libtessera.a
LIB_SOURCES := $(wildcard core/*.c core/kernels/*.c ops/*.c nn/*.c optim/*.c)
COMMON_SOURCES := $(wildcard apps/common/*.c)
APPS := $(patsubst apps/%/main.c,%,$(wildcard apps/*/main.c))

# The double build tests the library; what the apps share has no derivative and is tested once, and not on ports.
LIBRARY_ONLY ?=
TEST_SOURCES := $(wildcard tests/*.c tests/gradcheck/*.c tests/known-answers/*.c tests/unit/*.c)
ifeq ($(filter double,$(REAL))$(LIBRARY_ONLY),)
  TEST_SOURCES += $(wildcard tests/apps/*.c)
  TESTED_SOURCES := $(filter-out %/main.c,$(wildcard apps/facenet/*.c apps/neurons/*.c))
endif

objects = $(patsubst %.c,$(OBJ)/%.o,$(1))

.PHONY: all check-static check-threads coverage run build-tests test test-long gradcheck bench bench-peers curve fuzz fuzz-objects clean help compare-flags
.DELETE_ON_ERROR:

all: $(LIB) $(APPS:%=$(OUT)/%)

$(LIB): $(call objects,$(LIB_SOURCES))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# An app is its own folder's sources, what apps share, and the library; neurons looks into facenet's nets.
BORROWED_neurons := $(filter-out %/main.c,$(wildcard apps/facenet/*.c))
define app_rule
$(OUT)/$(1): $(call objects,$(wildcard apps/$(1)/*.c) $(BORROWED_$(1)) $(COMMON_SOURCES)) $(LIB)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach app,$(APPS),$(eval $(call app_rule,$(app))))

$(OBJ)/%.o: %.c $(OBJ)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

# Objects of other flags are not mixed in: this file changes when the flags do.
$(OBJ)/flags: compare-flags
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(CPPFLAGS)' > $@

# ---- tests ---------------------------------------------------------------------------------------------------------

$(OBJ)/tests_list.c: $(TEST_SOURCES) $(wildcard ops/*.c) tests/list.sh
	@mkdir -p $(@D)
	sh tests/list.sh $(REAL) $(TEST_SOURCES) > $@

$(OBJ)/tests_list.o: $(OBJ)/tests_list.c $(OBJ)/flags
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/tests: $(call objects,$(TEST_SOURCES) $(TESTED_SOURCES) $(if $(LIBRARY_ONLY),,$(COMMON_SOURCES))) $(OBJ)/tests_list.o $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

build-tests: $(OUT)/tests

# facenet whose allocations can be made to fail.
WRAP := $(call works,-Wl$(comma)--wrap=malloc$(comma)--wrap=calloc$(comma)--wrap=realloc)
ifeq ($(REAL)$(if $(WRAP),-wrap),float-wrap)
build-tests: $(OUT)/facenet-faults
endif
$(OUT)/facenet-faults: $(call objects,tests/faults/allocate.c $(wildcard apps/facenet/*.c) $(COMMON_SOURCES)) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(WRAP) -o $@ $^ $(LIBS)

test: all amalgamation
	@$(MAKE) --no-print-directory REAL=float build-tests
	@$(MAKE) --no-print-directory REAL=double build-tests
	@sh tests/run.sh $(BUILD)

test-long: all amalgamation
	@$(MAKE) --no-print-directory REAL=float build-tests
	@$(MAKE) --no-print-directory REAL=double build-tests
	@sh tests/run.sh $(BUILD) --long

gradcheck:
	@$(MAKE) --no-print-directory REAL=double build-tests
	@$(BUILD)/double/tests --gradcheck

# Lines of the library that the tests run, by gcov, per folder; MISSED=1 lists those they do not. In a build of its own.
COVERAGE := $(BUILD)/coverage
MISSED ?=
coverage:
	@for real in float double; do \
	    $(MAKE) --no-print-directory BUILD=$(COVERAGE) REAL=$$real OPT=-O1 LDFLAGS=--coverage \
	        CPPFLAGS='--coverage -fprofile-update=atomic' build-tests || exit 1; \
	done
	@sh tests/faults/coverage.sh $(COVERAGE) "$(MISSED)"

# Needs clang. Two contexts in two threads under ThreadSanitizer (GCC's OpenMP is unknown to it, so without); setarch:
# its memory map wants addresses that are not drawn at random.
THREADS := $(BUILD)/threads
check-threads:
	@$(MAKE) --no-print-directory CC=clang OPENMP=0 OPT=-O1 BUILD=$(THREADS) SANITIZE=thread $(THREADS)/libtessera.a
	clang -std=c11 -O1 -g -I. -fsanitize=thread -o $(THREADS)/threads tests/faults/threads.c $(THREADS)/libtessera.a -lm
	setarch -R $(THREADS)/threads

# cppcheck and clang-tidy, those that are there, with the choices of tests/faults/cppcheck.txt and .clang-tidy. Minutes.
CHECKED := $(wildcard core/*.c ops/*.c nn/*.c optim/*.c)
check-static:
	@sh tests/faults/static.sh $(CHECKED)

bench: $(OUT)/bench
	@$(OUT)/bench --threads 1
	@$(OUT)/bench

# Beside PyTorch, where a Python has it. ROUNDS=n, ONLY=part of a name, PEERS=further options of peers.py.
ROUNDS ?= 1
bench-peers: $(OUT)/bench
	@for python in python3 /usr/bin/python3; do \
	    if $$python -c 'import torch' 2>/dev/null; then \
	        exec $$python tests/bench/peers.py $(OUT)/bench --rounds $(ROUNDS) --only="$(ONLY)" $(PEERS); \
	    fi; \
	done; echo 'bench-peers: no Python here has PyTorch, so there is nothing to compare with'

# Does PyTorch, where a Python has it, follow the loss of our training on the same batches? DATA=folder, STEPS=n
STEPS ?= 200
curve: $(OUT)/curve
	$(OUT)/curve "$(DATA)" $(BUILD)/curve.out $(STEPS) > $(BUILD)/curve.csv
	@for python in python3 /usr/bin/python3; do \
	    if $$python -c 'import torch' 2>/dev/null; then exec $$python tests/curve/curve.py $(BUILD)/curve.out $(BUILD)/curve.csv; fi; \
	done; echo 'curve: no Python here has PyTorch'

$(OUT)/curve: $(call objects,tests/curve/curve.c $(filter-out %/main.c,$(wildcard apps/facenet/*.c)) $(COMMON_SOURCES)) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/bench: $(call objects,$(wildcard tests/bench/*.c) apps/facenet/nets_inception.c) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Needs clang. FUZZ_SECONDS=n for each target; ONLY=name for one.
FUZZ_SECONDS ?= 60
FUZZ := $(BUILD)/fuzz
fuzz:
	@$(MAKE) --no-print-directory CC=clang OPENMP=0 OPT=-O1 BUILD=$(FUZZ) SANITIZE=fuzzer-no-link,address,undefined \
	    CPPFLAGS=-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION fuzz-objects
	clang -std=c11 -I. -fsanitize=address,undefined -o $(FUZZ)/seeds tests/fuzz/seeds.c $(FUZZ)/libtessera.a -lm
	@for target in $(wildcard tests/fuzz/fuzz_*$(ONLY)*.c); do \
	    name=$$(basename $$target .c); \
	    mkdir -p $(FUZZ)/$$name.corpus; \
	    for known in image_files archive_files; do \
	        $(FUZZ)/seeds tests/known-answers/$$known.safetensors $${name#fuzz_}_ $(FUZZ)/$$name.corpus; \
	    done; \
	    clang -std=c11 -O1 -g -I. -fsanitize=fuzzer,address,undefined -o $(FUZZ)/$$name $$target \
	        $(FUZZ)/float/objects/apps/common/*.o $(FUZZ)/libtessera.a -lm && \
	    $(FUZZ)/$$name -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(FUZZ)/$$name.corpus || exit 1; \
	done

fuzz-objects: $(LIB) $(call objects,$(COMMON_SOURCES))

# Instrumenting the unrolled kernels would take many minutes; they see no bytes of a file.
ifneq ($(findstring fuzzer,$(SANITIZE)),)
$(OBJ)/core/kernels/%.o: ALL_CFLAGS := $(filter-out -fsanitize%,$(ALL_CFLAGS))
endif

include mk/distribution.mk

# Trains the triplet model and evaluates it on people it has never seen: on the built-in faces, or with DATA=folder on
# yours (one folder per person, or a list; the last fifth of the people is held out).
run: all
	@sh apps/facenet/run.sh $(OUT) out "$(DATA)"

help:
	@echo 'make               the library $(LIB) and the apps in $(OUT)/'
	@echo 'make run           trains the triplet model on the built-in faces and evaluates it; results in out/'
	@echo 'make run DATA=dir  the same on a folder with one folder of pictures per person'
	@echo 'make test          all tests, float and double; make test-long: the slow loops too'
	@echo 'make gradcheck     the gradient checks as a table: op, inputs, worst error'
	@echo 'make coverage      lines of the library that the tests run, per folder; MISSED=1 lists the others'
	@echo 'make check-static  clang-tidy and cppcheck over the library, where they are installed (minutes)'
	@echo 'make check-threads two contexts at once under the thread sanitizer of clang'
	@echo 'make bench         speed of kernels and of whole training steps, with one thread and with all'
	@echo 'make bench-peers   the same beside PyTorch, if it is installed; ROUNDS=3 ONLY=name (about six minutes a round)'
	@echo 'make curve         does PyTorch follow the loss of our training on the same batches? DATA=folder STEPS=200'
	@echo 'make fuzz          needs clang; FUZZ_SECONDS=60 each, ONLY=name'
	@echo 'make amalgamation  the library as two files, $(BUILD)/tessera.c and tessera.h'
	@echo 'make install       PREFIX=/usr/local DESTDIR=: programs, header, static and shared library; make uninstall'
	@echo 'make ports         tests on the other machines that this one can build for and emulate, as a table; ONLY=names'
	@echo 'make clean         removes $(BUILD)/'
	@echo 'REAL=double        the same sources in double precision, in $(BUILD)/double'
	@echo 'OPENMP=0           without threads; CC=clang; SANITIZE=address,undefined; OPT=-O1; BUILD=folder'

clean:
	rm -rf $(BUILD)

-include $(patsubst %.c,$(OBJ)/%.d,$(LIB_SOURCES) $(COMMON_SOURCES) $(TEST_SOURCES) $(wildcard apps/*/*.c) $(wildcard tests/bench/*.c))
