# SPDX-License-Identifier: MIT
#
# The front door. Meson builds; this file only remembers the commands.

ARGS ?=
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help serve test bench soak check install clean build

help:    ## Show this list.
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

serve: build ## Build Weir and serve the folder ./storage over HTTP; ARGS="--listen 127.0.0.1:9400" is passed on.
	@build/weir serve $(ARGS)

test:    ## Run every test: gcc, clang, both sanitizers, style, headers, documentation.
	@script/bootstrap test
	@script/test

bench: build ## Measure group commit against plain SQLite on this machine's disk.
	@build/weir bench commit $(ARGS)

soak: build ## Run the long tests (minutes to an hour).
	@script/bootstrap test
	@script/test soak

check:   ## Check formatting and style, run clang-tidy and cppcheck.
	@script/bootstrap test
	@script/check

install: ## Build and install under PREFIX (/usr/local); DESTDIR is honoured.
	@$(MAKE) --no-print-directory build SETUP="-Dprefix=$(PREFIX)"
	@meson install -C build --no-rebuild
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ]; then ldconfig; fi

clean:   ## Remove everything that was built.
	rm -rf build build-clang build-asan build-tsan

# Not in the list: what the others stand on. Who only runs weir need not wait for the tests to compile.
serve bench: TARGETS = weir
build:
	@script/bootstrap build
	@if [ -f build/build.ninja ]; then $(if $(SETUP),meson configure build $(SETUP),true); \
	 else meson setup $(SETUP) build; fi
	@ninja -C build $(TARGETS)
