# The library in other shapes: as two files, installed, and on other machines.

VERSION := 0.1.0
SONAME := libtessera.so.$(firstword $(subst ., ,$(VERSION)))
PREFIX ?= /usr/local

.PHONY: amalgamation install uninstall ports

# platform.c comes first, as it says which functions of the system its headers are to declare.
AMALGAMATED := core/platform.c $(filter-out core/platform.c,$(sort $(LIB_SOURCES)))

amalgamation: $(BUILD)/tessera.c

$(BUILD)/tessera.c: tests/ports/amalgamate.awk tessera.h $(AMALGAMATED) $(wildcard core/*.h core/kernels/*.h ops/*.h nn/*.h optim/*.h)
	@mkdir -p $(@D)
	awk -f $< $(BUILD) $(AMALGAMATED)

# Made of the two files: what their header does not declare is then hidden.
$(BUILD)/$(SONAME): $(BUILD)/tessera.c
	$(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -shared -Wl,-soname,$(SONAME) $(LDFLAGS) -o $@ $< $(LIBS)

# PREFIX=folder (/usr/local), and DESTDIR=folder to put it all below one.
at = $(DESTDIR)$(PREFIX)
install: all $(BUILD)/$(SONAME)
	mkdir -p $(at)/bin $(at)/include $(at)/lib/pkgconfig
	cp $(APPS:%=$(OUT)/%) $(at)/bin
	cp $(BUILD)/tessera.h $(at)/include
	cp $(LIB) $(at)/lib
	cp $(BUILD)/$(SONAME) $(at)/lib/libtessera.so.$(VERSION)
	ln -sf libtessera.so.$(VERSION) $(at)/lib/$(SONAME)
	ln -sf $(SONAME) $(at)/lib/libtessera.so
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: Tessera' 'Description: deep learning in C11' 'Version: $(VERSION)' \
	    'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -ltessera' \
	    'Libs.private: $(filter -fopenmp,$(ALL_CFLAGS)) -lm' > $(at)/lib/pkgconfig/tessera.pc

uninstall:
	rm -f $(APPS:%=$(at)/bin/%) $(at)/include/tessera.h $(at)/lib/libtessera.a $(at)/lib/libtessera.so \
	    $(at)/lib/$(SONAME) $(at)/lib/libtessera.so.$(VERSION) $(at)/lib/pkgconfig/tessera.pc

# A table of the machines that this one can build for and emulate; ONLY=names. Up to ten minutes for each.
ports:
	@sh tests/ports/ports.sh $(BUILD) $(ONLY)

$(OUT)/port: $(call objects,tests/ports/port.c) $(LIB)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
