# Everything a person or CI does with this tree. `make` alone lists the targets.

GO       := scripts/go
PREFIX   ?= /usr/local
STATE    ?= /var/lib/ninefold
FUZZTIME ?= 5m
SOAKTIME ?= 30m
SOAKHOST ?= 10000
SOAKDOOR ?= 10000
SOAKLOGINS ?= 10000
SOAKGUESTS ?= 1000
SOAKGUESTLOGINS ?= 1000
SOAKCONTEXTS ?= 200
BENCH    ?=
SUITE    ?= trixie

# The first process of a session: static, so that it needs nothing of a
# session's root, and small, because every session holds one. With musl it
# starts in a quarter of the time that glibc's start-up code takes.
INIT_CC := musl-gcc
INIT_CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -Wshadow -Wvla -Wformat=2 -Wconversion -Wno-sign-conversion \
	-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fno-plt -ffunction-sections -fdata-sections \
	-idirafter out/kernel-headers
INIT_LDFLAGS := -static -s -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections -Wl,--build-id=none

# The PAM module is loaded by the system's own programs, so it is built with
# the system's C library; pamhook tests that no symbol of it is newer than 2.17.
PAM_CC := gcc
PAM_CFLAGS := $(filter-out -fno-plt -idirafter out/kernel-headers,$(INIT_CFLAGS)) -fPIC -fvisibility=hidden
PAM_LDFLAGS := -shared -s -Wl,--version-script=pamhook/module/exports.map -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,-z,relro,-z,now,-z,noexecstack,-z,defs

# Two builds of one commit are byte-identical: no paths, no build id, no state of the checkout.
export CGO_ENABLED := 0
GOBUILD := $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -buildid="

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: deps
deps: ## install what building and testing need (Debian: apt-get; elsewhere it names them)
	@scripts/deps build run test

.PHONY: build
build: bin/ninefold-init bin/ninefold-probe bin/ninefold-enter bin/ninefold-guest bin/ninefold-session bin/ninefold-guest-account bin/pam_ninefold.so ## build the programs into bin/
	@scripts/deps build
	@mkdir -p bin
	$(GOBUILD) -o bin/ ./cmd/...

bin/ninefold-init: $(wildcard namespaces/init/*.c namespaces/init/*.h) Makefile scripts/kernel-headers
	@scripts/deps build
	@mkdir -p bin
	@scripts/kernel-headers out/kernel-headers
	$(INIT_CC) $(INIT_CFLAGS) -o $@.new $(filter %.c,$^) $(INIT_LDFLAGS) && mv $@.new $@

bin/ninefold-probe: $(wildcard namespaces/probe/*.c namespaces/probe/*.h) Makefile scripts/kernel-headers
	@scripts/deps build
	@mkdir -p bin
	@scripts/kernel-headers out/kernel-headers
	$(INIT_CC) $(INIT_CFLAGS) -o $@.new $(filter %.c,$^) $(INIT_LDFLAGS) && mv $@.new $@

DOOR_CLIENT := $(wildcard pamhook/client/*.c pamhook/client/*.h) pamhook/door.h

bin/ninefold-enter: $(wildcard pamhook/enter/*.c) $(DOOR_CLIENT) Makefile scripts/kernel-headers
	@scripts/deps build
	@mkdir -p bin
	@scripts/kernel-headers out/kernel-headers
	$(INIT_CC) $(INIT_CFLAGS) -o $@.new $(filter %.c,$^) $(INIT_LDFLAGS) && mv $@.new $@

bin/ninefold-guest: $(wildcard pamhook/guest/*.c) Makefile scripts/kernel-headers
	@scripts/deps build
	@mkdir -p bin
	@scripts/kernel-headers out/kernel-headers
	$(INIT_CC) $(INIT_CFLAGS) -o $@.new $(filter %.c,$^) $(INIT_LDFLAGS) && mv $@.new $@

bin/ninefold-session bin/ninefold-guest-account: bin/%: pamhook/session/%
	@mkdir -p bin
	install -m 755 $< $@

bin/pam_ninefold.so: $(wildcard pamhook/module/*.c pamhook/module/*.h) pamhook/module/exports.map $(DOOR_CLIENT) Makefile
	@scripts/deps build
	@mkdir -p bin
	$(PAM_CC) $(PAM_CFLAGS) -o $@.new $(filter %.c,$^) $(PAM_LDFLAGS) -lpam && mv $@.new $@

.PHONY: run
run: ## the demonstration: build, build a desktop from Debian's packages, run it, leave out/desktop.png
	@STATE='$(STATE)' MAKE='$(MAKE)' scripts/run

.PHONY: test
test: deps build vet lint ## every check and test; those that need root run as root or through sudo
	@scripts/as-root --prepare
	@$(GO) list -modfile=packaging/tools.mod -deps tool >/dev/null # so that root finds them fetched
	$(GO) test -timeout 40m -exec '$(CURDIR)/scripts/as-root' ./...

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## import rules, house style, staticcheck, shellcheck
	$(GO) test -count=1 ./tests/lint
	$(GO) tool staticcheck ./...
	shellcheck scripts/* .ci/run pamhook/session/* roots/boot/early/*.sh

.PHONY: bench
bench: build out/floor ## the numbers, ours beside others' in one run (BENCH=-long adds image builds over the network)
	@scripts/deps bench
	@mkdir -p out
	$(GO) build -o out/bench ./tests/bench
	$(SUDO) out/bench $(BENCH)

out/floor: tests/bench/floor/floor.c Makefile
	@scripts/deps build
	@scripts/kernel-headers out/kernel-headers
	$(INIT_CC) $(INIT_CFLAGS) -o $@ $< $(INIT_LDFLAGS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	scripts/fuzz $(FUZZTIME)

.PHONY: soak
soak: build ## sessions made, killed and undone for SOAKTIME, SOAKHOST commands on the host, SOAKDOOR connections to the door, SOAKLOGINS logins, SOAKGUESTS guests and SOAKGUESTLOGINS logins of guests, each change of a context killed SOAKCONTEXTS times, and nothing left behind
	@mkdir -p out
	$(GO) build -o out/soak ./tests/soak
	$(SUDO) out/soak -for $(SOAKTIME) -host $(SOAKHOST) -door $(SOAKDOOR) -logins $(SOAKLOGINS) -guests $(SOAKGUESTS) -guestlogins $(SOAKGUESTLOGINS)
	@if [ $(SOAKCONTEXTS) -gt 0 ]; then set -x; $(SUDO) env NINEFOLD_MUST_RUN=1 NINEFOLD_CONTEXT_KILLS=$(SOAKCONTEXTS) $(GO) test -count=1 -v -timeout 12h -run '^TestContexts$$/./^killed$$' ./tests/machine; fi

.PHONY: desktops
desktops: build ## whole desktops in logins on booted machines: pictures in out/desktops, times beside the same installed (LONG=1: more; DESKTOP=xfce: those whose name matches)
	@scripts/deps run test
	@mkdir -p out/desktops
	$(GO) test -c -o out/desktops/test ./tests/desktops
	cd tests/desktops && $(SUDO) env NINEFOLD_MUST_RUN=1 NINEFOLD_DESKTOPS=$(if $(LONG),long,all) NINEFOLD_DESKTOP='$(DESKTOP)' ../../out/desktops/test -test.v \
		-test.timeout 3h -test.bench Login -test.benchtime 1x

.PHONY: long
long: build ## tests that take many minutes: packages of languages by their own managers, a machine with dracut that starts on an image in squashfs, every attack on guests on the stock kernels
	@scripts/deps run test
	$(SUDO) env NINEFOLD_LONG=1 NINEFOLD_MUST_RUN=1 $(GO) test -count=1 -v -timeout 3h ./tests/languages
	$(SUDO) env NINEFOLD_LONG=1 NINEFOLD_MUST_RUN=1 $(GO) test -count=1 -v -timeout 3h -run /dracut ./tests/boot
	$(SUDO) env NINEFOLD_LONG=1 NINEFOLD_MUST_RUN=1 $(GO) test -count=1 -v -timeout 1h ./tests/vm

.PHONY: machine
machine: build ## a console on a booted Debian SUITE (bookworm, trixie) with Ninefold in it; all thrown away afterwards
	@scripts/deps test
	@mkdir -p out
	$(GO) build -o out/machine ./tests/machine/console
	$(SUDO) out/machine -suite $(SUITE)

.PHONY: install
install: build ## install below DESTDIR and PREFIX
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/ninefold' \
		'$(DESTDIR)/usr/lib/ninefold/recipes' '$(DESTDIR)/usr/lib/ninefold/profiles' \
		'$(DESTDIR)/etc/ninefold/recipes' '$(DESTDIR)/etc/ninefold/profiles'
	install -m 755 bin/sessionctl '$(DESTDIR)$(PREFIX)/lib/ninefold/sessionctl'
	ln -sf ../lib/ninefold/sessionctl '$(DESTDIR)$(PREFIX)/bin/sessionctl'
	ln -sf ../lib/ninefold/sessionctl '$(DESTDIR)$(PREFIX)/bin/hc'
	install -m 755 $$(ls bin/* | grep -vx bin/sessionctl) '$(DESTDIR)$(PREFIX)/lib/ninefold/'
	install -m 644 recipes/*.toml '$(DESTDIR)/usr/lib/ninefold/recipes/'
	install -m 644 profiles/*.toml '$(DESTDIR)/usr/lib/ninefold/profiles/'

.PHONY: deb
deb: build ## dist/*.deb for Debian 12 and 13, with everything that logins need
	@scripts/package deb

.PHONY: rpm
rpm: build ## dist/*.rpm, the same without a PAM stack of its own
	@scripts/package rpm

.PHONY: clean
clean: ## remove what was built; the state directory stays
	rm -rf bin out dist
